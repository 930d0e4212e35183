#include <cmath>

#include "kintsugi/engine/cuda/columns.h"
#include "kintsugi/engine/cuda/norm.h"
#include "kintsugi/engine/cuda/rows.h"

namespace kintsugi::cuda {

namespace {

// A row normalised by its own statistics: the mean first, so that one far from zero cancels
// nothing. `part` is what an element counts in a mean.
template <class T, int N>
__global__ void __launch_bounds__(kThreads, 3)
    layer_norm_kernel(Rows rows, double part, double epsilon, const T* x, const float* weight,
                      const float* bias, T* y, float* mean, float* rstd) {
  constexpr int kGroups = kHeld<N>;
  const int lanes = rows.lanes, lane = rows.lane();
  const int64_t span = kGroups * lanes;
  for (int64_t first = int64_t(blockIdx.x) * rows.groups(); first < rows.rows;
       first += int64_t(gridDim.x) * rows.groups()) {
    const int64_t row = first + rows.group(), n = row < rows.rows ? rows.n : 0;
    const int64_t start = row * rows.n * N;
    Vector<T, N> held[kGroups];
    const auto fetch = [&](int k, int64_t i) { held[k] = load<N>(x + start + i * N); };
    double sum = 0, squares = 0;
    for (int64_t from = lane; from < n; from += span) {
      rows.each<kGroups>(from, n, fetch);
      rows.each<kGroups>(from, n, [&](int k, int64_t) { sum += double(sum_of(widen(held[k]))); });
    }
    const double center = row_sum(sum, lanes) * part;
    const float middle = float(center), rest = float(center - double(middle));
    for (int64_t from = lane; from < n; from += span) {
      if (n > span) rows.each<kGroups>(from, n, fetch);
      rows.each<kGroups>(from, n, [&](int k, int64_t) {
        Floats<N> v = widen(held[k]);
        KINTSUGI_UNROLL
        for (int e = 0; e < N; ++e) v.at[e] = (v.at[e] - middle) * (v.at[e] - middle);
        squares += double(sum_of(v));
      });
    }
    double variance = row_sum(squares, lanes) * part - double(rest) * double(rest);
    if (variance < 0) variance = 0;  // NaN passes
    const double r = rsqrt(variance + epsilon);
    if (n > 0 && lane == 0) {
      mean[row] = middle;
      rstd[row] = float(r);
    }
    const float scale = float(r), shift = -rest * scale;
    for (int64_t from = lane; from < n; from += span) {
      if (n > span) rows.each<kGroups>(from, n, fetch);
      rows.each<kGroups>(from, n, [&](int k, int64_t i) {
        Floats<N> v = widen(held[k]), w, b;
        if (weight) w = read<N>(weight + i * N);
        if (bias) b = read<N>(bias + i * N);
        KINTSUGI_UNROLL
        for (int e = 0; e < N; ++e) {
          v.at[e] = (v.at[e] - middle) * scale + shift;
          if (weight) v.at[e] *= w.at[e];
          if (bias) v.at[e] += b.at[e];
        }
        write(y + start + i * N, v);
      });
    }
  }
}

// dx, and each block's sums for dweight and dbias: partial is (blocks, 2, n). A thread has the same
// columns of every row and adds up in registers, or in `partial` itself where a row is too long.
template <class T, int N>
__global__ void __launch_bounds__(kThreads, 2)
    layer_norm_backward_kernel(Rows rows, double part, const T* x, const float* weight,
                               const float* mean, const float* rstd, const T* dy, T* dx,
                               float* partial) {
  constexpr int kGroups = kHeldOfTwo<N>;
  const int lanes = rows.lanes, lane = rows.lane();
  const int64_t span = kGroups * lanes, size = 2 * rows.n * N;
  const bool once = rows.n <= span;
  float* out = partial + int64_t(blockIdx.x) * size;
  Vector<T, N> held_x[kGroups], held_dy[kGroups];
  Floats<N> dweight[kGroups] = {}, dbias[kGroups] = {};
  const auto put_sums = [&](float* to, int k, int64_t i) {
    write(to + i * N, dweight[k]);
    write(to + (rows.n + i) * N, dbias[k]);
  };
  for (int64_t from = lane; !once && from < rows.n; from += span) {
    rows.each<kGroups>(from, rows.n, [&](int k, int64_t i) { put_sums(out, k, i); });
  }
  for (int64_t first = int64_t(blockIdx.x) * rows.groups(); first < rows.rows;
       first += int64_t(gridDim.x) * rows.groups()) {
    const int64_t row = first + rows.group(), n = row < rows.rows ? rows.n : 0;
    const int64_t start = row * rows.n * N;
    const auto fetch = [&](int k, int64_t i) {
      held_x[k] = load<N>(x + start + i * N);
      held_dy[k] = load<N>(dy + start + i * N);
    };
    const float center = n > 0 ? mean[row] : 0, scale = n > 0 ? rstd[row] : 0;
    double sum = 0, products = 0;  // of dy * weight, and of that * xhat
    for (int64_t from = lane; from < n; from += span) {
      rows.each<kGroups>(from, n, fetch);
      rows.each<kGroups>(from, n, [&](int k, int64_t i) {
        Floats<N> xhat = widen(held_x[k]), d = widen(held_dy[k]), w;
        if (weight) w = read<N>(weight + i * N);
        if (!once) {
          dweight[k] = read<N>(out + i * N);
          dbias[k] = read<N>(out + (rows.n + i) * N);
        }
        KINTSUGI_UNROLL
        for (int e = 0; e < N; ++e) {
          xhat.at[e] = (xhat.at[e] - center) * scale;
          dweight[k].at[e] += d.at[e] * xhat.at[e];
          dbias[k].at[e] += d.at[e];
          if (weight) d.at[e] *= w.at[e];
          xhat.at[e] *= d.at[e];
        }
        if (!once) put_sums(out, k, i);
        sum += double(sum_of(d));
        products += double(sum_of(xhat));
      });
    }
    const float mean_g = float(row_sum(sum, lanes) * part);
    const float mean_gx = float(row_sum(products, lanes) * part);
    for (int64_t from = lane; from < n; from += span) {
      if (n > span) rows.each<kGroups>(from, n, fetch);
      rows.each<kGroups>(from, n, [&](int k, int64_t i) {
        Floats<N> v = widen(held_x[k]), d = widen(held_dy[k]), w;
        if (weight) w = read<N>(weight + i * N);
        KINTSUGI_UNROLL
        for (int e = 0; e < N; ++e) {
          const float g = weight ? d.at[e] * w.at[e] : d.at[e];
          d.at[e] = scale * (g - mean_g - (v.at[e] - center) * scale * mean_gx);
        }
        write(dx + start + i * N, d);
      });
    }
  }
  if (!once) return;
  float* sums = dynamic_shared<float>();
  __syncthreads();  // row_sum has used it
  rows.each<kGroups>(lane, rows.n,
                     [&](int k, int64_t i) { put_sums(sums + rows.group() * size, k, i); });
  __syncthreads();
  for (int64_t i = threadIdx.x; i < size; i += blockDim.x) {
    float total = sums[i];
    for (int g = 1; g < rows.groups(); ++g) total += sums[g * size + i];
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
  const int64_t n = x.size(1);
  return visit_storage(x, [&](auto zero) {
    using T = decltype(zero);
    if (x.numel() == 0) return;
    const auto run = [&](auto width) {
      constexpr int kN = decltype(width)::value;
      const Rows rows(x.size(0), n / kN, kHeld<kN>);
      launch("layer_norm", layer_norm_kernel<T, kN>, rows.blocks(), rows.threads, Rows::kScratch,
             rows, 1 / double(n), epsilon, pointer<T>(x), pointer<float>(weight),
             pointer<float>(bias), pointer<T>(y), pointer<float>(mean), pointer<float>(rstd));
    };
    visit_width<T>(run, n, pointer<T>(x), pointer<float>(weight), pointer<float>(bias),
                   pointer<T>(y));
  });
}

bool layer_norm_backward(const Tensor& x, const Tensor& weight, const Tensor& mean,
                         const Tensor& rstd, const Tensor& dy, const Tensor& dx,
                         const Tensor& dweight, const Tensor& dbias) {
  constexpr const char* kOp = "layer_norm_backward";
  const int64_t n = x.size(1);
  return visit_storage(x, [&](auto none) {
    using T = decltype(none);
    if (x.numel() == 0) {
      zero(dweight);
      zero(dbias);
      return;
    }
    const auto run = [&](auto width) {
      constexpr int kN = decltype(width)::value;
      const Rows rows(x.size(0), n / kN, kHeldOfTwo<kN>);
      // Enough rows a block that its sums are little beside them, and enough blocks for the device.
      const int64_t groups = rows.threads / rows.lanes;
      const unsigned blocks = rows.blocks(std::clamp<int64_t>(x.size(0) / (8 * groups), 1, 1024));
      const Tensor partial = Tensor::empty({int64_t(blocks), 2, n}, DType::kF32, x.device());
      const bool once = rows.n <= int64_t(kHeldOfTwo<kN>) * rows.lanes;
      const size_t sums = once ? size_t(groups * 2 * n) * sizeof(float) : 0;
      launch(kOp, layer_norm_backward_kernel<T, kN>, blocks, rows.threads,
             std::max(Rows::kScratch, sums), rows, 1 / double(n), pointer<T>(x),
             pointer<float>(weight), pointer<float>(mean), pointer<float>(rstd), pointer<T>(dy),
             pointer<T>(dx), pointer<float>(partial));
      if (!dweight.defined() && !dbias.defined()) return;
      const Columns columns(2 * n, 8);
      launch(kOp, sum_blocks, unsigned(columns.tiles), columns.threads,
             size_t(columns.threads) * sizeof(double), int64_t(blocks), n, columns,
             pointer<float>(partial), pointer<float>(dweight), pointer<float>(dbias));
    };
    visit_width<T>(run, n, pointer<T>(x), pointer<float>(weight), pointer<T>(dy), pointer<T>(dx));
  });
}

}  // namespace kintsugi::cuda
