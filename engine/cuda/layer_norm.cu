#include <cmath>

#include "kintsugi/engine/cuda/columns.h"
#include "kintsugi/engine/cuda/norm.h"
#include "kintsugi/engine/cuda/rows.h"

namespace kintsugi::cuda {

namespace {

// A row normalised by its own statistics. The row waits in shared memory, where it fits.
template <int N>
__global__ void layer_norm_kernel(Rows rows, double epsilon, const Floats<N>* x,
                                  const Floats<N>* weight, const Floats<N>* bias, Floats<N>* y,
                                  float* mean, float* rstd) {
  const int lanes = rows.lanes, lane = rows.lane();
  Floats<N>* held = rows.copy<Floats<N>>(0, 1);
  for (int64_t first = int64_t(blockIdx.x) * rows.groups(); first < rows.rows;
       first += int64_t(gridDim.x) * rows.groups()) {
    const int64_t row = first + rows.group(), n = row < rows.rows ? rows.n : 0;
    const Floats<N>* src = x + row * rows.n;
    // Sums of what is left after an element of the row: a mean far from zero cancels nothing.
    const double shift = n > 0 ? double(src[0].at[0]) : 0;
    double sum = 0, squares = 0;
    for (int64_t i = lane; i < n; i += lanes) {
      const Floats<N> v = src[i];
      if (rows.held) held[i] = v;
      for (int k = 0; k < N; ++k) {
        const double d = double(v.at[k]) - shift;
        sum += d;
        squares += d * d;
      }
    }
    sum = row_sum(sum, lanes);
    squares = row_sum(squares, lanes);
    const double count = double(rows.n * N), center = shift + sum / count;
    double variance = (squares - sum * (sum / count)) / count;
    if (variance < 0) variance = 0;  // NaN passes
    const double r = 1 / sqrt(variance + epsilon);
    if (n > 0 && lane == 0) {
      mean[row] = float(center);
      rstd[row] = float(r);
    }
    const float middle = float(center), rest = float(center - double(middle)), scale = float(r);
    for (int64_t i = lane; i < n; i += lanes) {
      Floats<N> v = rows.held ? held[i] : src[i];
      Floats<N> w, b;
      if (weight) w = weight[i];
      if (bias) b = bias[i];
      for (int k = 0; k < N; ++k) {
        v.at[k] = (v.at[k] - middle - rest) * scale;
        if (weight) v.at[k] *= w.at[k];
        if (bias) v.at[k] += b.at[k];
      }
      y[row * rows.n + i] = v;
    }
  }
}

// dx, and each block's sums for dweight and dbias: partial is (blocks, 2, n). A row has four
// copies: x, dy and the sums of its lanes, or only the sums, in `partial` itself, where those do
// not fit.
template <int N>
__global__ void layer_norm_backward_kernel(Rows rows, const Floats<N>* x, const Floats<N>* weight,
                                           const float* mean, const float* rstd,
                                           const Floats<N>* dy, Floats<N>* dx, Floats<N>* partial) {
  const int lanes = rows.lanes, lane = rows.lane();
  Floats<N>*held_x = rows.copy<Floats<N>>(0, 4), *held_dy = rows.copy<Floats<N>>(1, 4);
  Floats<N>* out = partial + int64_t(blockIdx.x) * 2 * rows.n;
  Floats<N>* dweight = rows.held ? rows.copy<Floats<N>>(2, 4) : out;
  Floats<N>* dbias = dweight + rows.n;
  for (int64_t i = lane; i < rows.n; i += lanes) {
    for (int k = 0; k < N; ++k) dweight[i].at[k] = dbias[i].at[k] = 0;
  }
  for (int64_t first = int64_t(blockIdx.x) * rows.groups(); first < rows.rows;
       first += int64_t(gridDim.x) * rows.groups()) {
    const int64_t row = first + rows.group(), n = row < rows.rows ? rows.n : 0;
    const Floats<N>*src = x + row * rows.n, *grad = dy + row * rows.n;
    const float center = n > 0 ? mean[row] : 0, scale = n > 0 ? rstd[row] : 0;
    double sum = 0, products = 0;  // of dy * weight, and of that * xhat
    for (int64_t i = lane; i < n; i += lanes) {
      const Floats<N> v = src[i], d = grad[i];
      if (rows.held) {
        held_x[i] = v;
        held_dy[i] = d;
      }
      Floats<N> dw = dweight[i], db = dbias[i], w;
      if (weight) w = weight[i];
      for (int k = 0; k < N; ++k) {
        const float xhat = (v.at[k] - center) * scale, g = weight ? d.at[k] * w.at[k] : d.at[k];
        dw.at[k] += d.at[k] * xhat;
        db.at[k] += d.at[k];
        sum += double(g);
        products += double(g * xhat);
      }
      dweight[i] = dw;
      dbias[i] = db;
    }
    const float mean_g = float(row_sum(sum, lanes) / double(rows.n * N));
    const float mean_gx = float(row_sum(products, lanes) / double(rows.n * N));
    for (int64_t i = lane; i < n; i += lanes) {
      const Floats<N> v = rows.held ? held_x[i] : src[i];
      Floats<N> d = rows.held ? held_dy[i] : grad[i], w;
      if (weight) w = weight[i];
      for (int k = 0; k < N; ++k) {
        const float xhat = (v.at[k] - center) * scale, g = weight ? d.at[k] * w.at[k] : d.at[k];
        d.at[k] = scale * (g - mean_g - xhat * mean_gx);
      }
      dx[row * rows.n + i] = d;
    }
  }
  if (!rows.held) return;
  __syncthreads();
  const Floats<N>* sums =
      reinterpret_cast<const Floats<N>*>(dynamic_shared<unsigned char>() + Rows::kScratch);
  for (int64_t i = threadIdx.x; i < 2 * rows.n; i += blockDim.x) {
    Floats<N> total = sums[2 * rows.n + i];
    for (int g = 1; g < rows.groups(); ++g) {
      const Floats<N> other = sums[(g * 4 + 2) * rows.n + i];
      for (int k = 0; k < N; ++k) total.at[k] += other.at[k];
    }
    out[i] = total;
  }
}

// partial (blocks, 2, n) to dweight and dbias, each or null.
__global__ void sum_blocks(int64_t blocks, int64_t n, Columns columns, const float* partial,
                           float* dweight, float* dbias) {
  double* shared = dynamic_shared<double>();
  const int column = columns.column(), row = columns.row();
  const int64_t i = int64_t(blockIdx.x) * columns.width + column;
  const bool mine = row < columns.rows && i < 2 * n;
  double sum = 0;
  for (int64_t b = row; mine && b < blocks; b += columns.rows)
    sum += double(partial[b * 2 * n + i]);
  shared[threadIdx.x] = sum;
  merge_rows(row, columns.rows, [&](int to, int from) {
    shared[to * columns.width + column] += shared[from * columns.width + column];
  });
  if (!mine || row != 0) return;
  float* out = i < n ? dweight : dbias;
  if (out) out[i < n ? i : i - n] = float(shared[threadIdx.x]);
}

void zero(const Tensor& x) {
  if (x.defined()) Tensor(x).fill(0);
}

}  // namespace

bool layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double epsilon,
                const Tensor& y, const Tensor& mean, const Tensor& rstd) {
  if (x.dtype() != DType::kF32) return false;
  if (x.numel() == 0) return true;
  const float *src = pointer<float>(x), *w = pointer<float>(weight), *b = pointer<float>(bias);
  const bool fours = x.size(1) % 4 == 0 && in_fours(src, w, b, y.address());
  visit_width(fours, [&](auto wide) {
    constexpr int kN = decltype(wide)::value;
    using V = Floats<kN>;
    const Rows rows(x.size(0), x.size(1) / kN, sizeof(V), 1);
    launch("layer_norm", layer_norm_kernel<kN>, rows.blocks(), rows.threads, rows.shared, rows,
           epsilon, reinterpret_cast<const V*>(src), reinterpret_cast<const V*>(w),
           reinterpret_cast<const V*>(b), reinterpret_cast<V*>(pointer<float>(y)),
           pointer<float>(mean), pointer<float>(rstd));
  });
  return true;
}

bool layer_norm_backward(const Tensor& x, const Tensor& weight, const Tensor& mean,
                         const Tensor& rstd, const Tensor& dy, const Tensor& dx,
                         const Tensor& dweight, const Tensor& dbias) {
  constexpr const char* kOp = "layer_norm_backward";
  if (x.dtype() != DType::kF32) return false;
  if (x.numel() == 0) {
    zero(dweight);
    zero(dbias);
    return true;
  }
  const float *src = pointer<float>(x), *grad = pointer<float>(dy), *w = pointer<float>(weight);
  const int64_t n = x.size(1);
  visit_width(n % 4 == 0 && in_fours(src, grad, w, dx.address()), [&](auto wide) {
    constexpr int kN = decltype(wide)::value;
    using V = Floats<kN>;
    const Rows rows(x.size(0), n / kN, sizeof(V), 4);
    // Enough rows a block that its sums are little beside them, and enough blocks for the device.
    const int64_t groups = rows.threads / rows.lanes;
    const unsigned blocks = rows.blocks(std::clamp<int64_t>(x.size(0) / (8 * groups), 1, 1024));
    const Tensor partial = Tensor::empty({int64_t(blocks), 2, n}, DType::kF32, x.device());
    launch(kOp, layer_norm_backward_kernel<kN>, blocks, rows.threads, rows.shared, rows,
           reinterpret_cast<const V*>(src), reinterpret_cast<const V*>(w), pointer<float>(mean),
           pointer<float>(rstd), reinterpret_cast<const V*>(grad),
           reinterpret_cast<V*>(pointer<float>(dx)), reinterpret_cast<V*>(pointer<float>(partial)));
    if (!dweight.defined() && !dbias.defined()) return;
    const Columns columns(2 * n, 8);
    launch(kOp, sum_blocks, unsigned(columns.tiles), columns.threads,
           size_t(columns.threads) * sizeof(double), int64_t(blocks), n, columns,
           pointer<float>(partial), pointer<float>(dweight), pointer<float>(dbias));
  });
  return true;
}

}  // namespace kintsugi::cuda
