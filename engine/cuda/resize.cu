#include "kintsugi/engine/cuda/resize.h"

#include <cmath>

#include "kintsugi/engine/cuda/grid.h"

namespace kintsugi::cuda {

namespace {

using ops::Interpolation;

// The taps of one output on an axis, as in engine/ref/resize.cpp.
struct Taps {
  int count;
  int index[4];
  double weight[4];
};

__device__ __forceinline__ double cubic(double t) {
  constexpr double a = -0.75;
  t = t < 0 ? -t : t;
  if (t <= 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
  if (t < 2) return ((t - 5) * t + 8) * t * a - 4 * a;
  return 0;
}

__device__ __forceinline__ int clamped(int i, int extent) {
  return i < 0 ? 0 : i < extent ? i : extent - 1;
}

// Of output i of an axis that goes from `in` cells to in / scale.
__device__ __forceinline__ Taps taps_of(Interpolation interpolation, int in, double scale, int i) {
  Taps taps;
  const double centre = (double(i) + 0.5) * scale - 0.5;
  if (interpolation == Interpolation::kNearest) {
    taps.count = 1;
    taps.index[0] = clamped(int(floor(double(i) * scale)), in);
    taps.weight[0] = 1;
  } else if (interpolation == Interpolation::kBilinear) {
    const double c = centre > 0 ? centre : 0;
    const int low = clamped(int(floor(c)), in);
    taps.count = 2;
    taps.index[0] = low;
    taps.index[1] = clamped(low + 1, in);
    taps.weight[0] = 1 - (c - double(low));
    taps.weight[1] = c - double(low);
  } else {
    const int low = int(floor(centre));
    taps.count = 4;
    for (int k = 0; k < 4; ++k) {
      taps.index[k] = clamped(low + k - 1, in);
      taps.weight[k] = cubic(centre - double(low + k - 1));
    }
  }
  return taps;
}

// A sparse matrix of an axis, in device memory: row i reads [first[i], first[i] + count[i]) with
// `most` weights kept a row. Taps that the border sends to one cell are one weight.
struct Sparse {
  int rows, most;
  int32_t *first, *count;
  float* weight;
};

__global__ void forward_rows(Interpolation interpolation, int in, double scale, Sparse to) {
  const int i = int(grid_first());
  if (i >= to.rows) return;
  const Taps taps = taps_of(interpolation, in, scale, i);
  const int first = taps.index[0];
  for (int m = 0; m < to.most; ++m) {
    double sum = 0;
    for (int k = 0; k < taps.count; ++k) sum += taps.index[k] == first + m ? taps.weight[k] : 0;
    to.weight[int64_t(i) * to.most + m] = float(sum);
  }
  to.first[i] = first;
  to.count[i] = taps.index[taps.count - 1] - first + 1;
}

// The transpose: which of `out` outputs read input p. The centres of those lie less than `reach`
// from it, but at the borders.
__global__ void backward_rows(Interpolation interpolation, int out, double scale, double reach,
                              Sparse to) {
  const int in = to.rows, p = int(grid_first());
  if (p >= in) return;
  const double low = (double(p) - reach + 0.5) / scale - 1.5;
  const double high = (double(p) + reach + 0.5) / scale + 1.5;
  const int begin = p == 0 || low < 0 ? 0 : int(low);
  const int end = p == in - 1 || high > double(out) ? out : int(high);
  int first = begin, count = 0;
  for (int i = begin; i < end; ++i) {
    const Taps taps = taps_of(interpolation, in, scale, i);
    double sum = 0;
    bool reads = false;
    for (int k = 0; k < taps.count; ++k) {
      if (taps.index[k] != p) continue;
      reads = true;
      sum += taps.weight[k];
    }
    if (!reads || count == to.most) continue;
    if (count == 0) first = i;
    to.weight[int64_t(p) * to.most + count++] = float(sum);
  }
  to.first[p] = first;
  to.count[p] = count;
}

// A block makes a row of y, (n, vertical.rows, horizontal.rows, c), a thread kWidth channels of a
// cell.
template <class T, int kWidth>
__global__ void combine_kernel(Sparse vertical, Sparse horizontal, int64_t images, int channels,
                               int height, int width, const T* x, T* y) {
  const int64_t lanes = channels / kWidth, items = lanes * horizontal.rows;
  for (int64_t line = blockIdx.x; line < images * vertical.rows; line += gridDim.x) {
    const int64_t n = line / vertical.rows, i = line - n * vertical.rows;
    const int top = vertical.first[i], down = vertical.count[i];
    const float* by_row = vertical.weight + i * vertical.most;
    for (int64_t e = threadIdx.x; e < items; e += blockDim.x) {
      const int j = int(uint32_t(e) / uint32_t(lanes)), c = int(e - j * lanes) * kWidth;
      const int left = horizontal.first[j], across = horizontal.count[j];
      const float* by_column = horizontal.weight + int64_t(j) * horizontal.most;
      Floats<kWidth> sum{};
      for (int r = 0; r < down; ++r) {
        const T* from = x + ((n * height + top + r) * width + left) * channels + c;
        float row[kWidth] = {};
        for (int q = 0; q < across; ++q) {
          const auto value = read<kWidth>(from + int64_t(q) * channels);
          for (int k = 0; k < kWidth; ++k) row[k] += by_column[q] * value.at[k];
        }
        for (int k = 0; k < kWidth; ++k) sum.at[k] += by_row[r] * row[k];
      }
      write(y + (line * horizontal.rows + j) * channels + c, sum);
    }
  }
}

// The tables of one axis and the memory that holds them.
struct Axis {
  Tensor integers, weights;
  Sparse sparse;

  Axis(const char* op, int64_t in, int64_t out, Interpolation interpolation, bool transposed,
       Device device) {
    const double scale = double(in) / double(out);
    const int reach = interpolation == Interpolation::kBicubic ? 2 : 1;
    const int64_t rows = transposed ? in : out;
    int64_t most = interpolation == Interpolation::kNearest ? 1 : 2 * reach;
    if (transposed) most = std::min(out, int64_t(std::ceil(2 * reach / scale)) + 3);
    integers = Tensor::empty({2, rows}, DType::kI32, device);
    weights = Tensor::empty({rows, most}, DType::kF32, device);
    int32_t* first = pointer<int32_t>(integers);
    sparse = {int(rows), int(most), first, first + rows, pointer<float>(weights)};
    if (transposed) {
      launch(op, backward_rows, blocks_for(rows), kThreads, 0, interpolation, int(out), scale,
             double(reach), sparse);
    } else {
      launch(op, forward_rows, blocks_for(rows), kThreads, 0, interpolation, int(in), scale,
             sparse);
    }
  }
};

bool takes(const Tensor& x, const Tensor& y) {
  for (const Tensor* t : {&x, &y}) {
    // The tables' kernels take a block for each kThreads rows, without a loop.
    for (int d = 2; d < 4; ++d) {
      if (t->size(d) > kMaxBlocks * kThreads) return false;
    }
    if (t->size(1) > kMaxExtent || t->size(3) * t->size(1) > kMaxExtent) return false;
  }
  return x.dtype() != DType::kF64;
}

bool apply(const char* op, Interpolation interpolation, bool transposed, const Tensor& any_x,
           const Tensor& y) {
  if (!takes(any_x, y)) return false;
  if (y.numel() == 0) return true;
  const Tensor x = any_x.channels_last();
  const auto axis = [&](int d) {
    const int64_t from = x.size(d), to = y.size(d);
    return Axis(op, transposed ? to : from, transposed ? from : to, interpolation, transposed,
                x.device());
  };
  const Axis vertical = axis(2), horizontal = axis(3);
  return visit_storage(y, [&](auto zero) {
    using T = decltype(zero);
    visit_width<T>(
        [&](auto lanes) {
          launch(op, combine_kernel<T, decltype(lanes)::value>,
                 blocks_for(y.size(0) * y.size(2), 1),
                 threads_for_row(y.size(3) * y.size(1) / lanes), 0, vertical.sparse,
                 horizontal.sparse, y.size(0), int(y.size(1)), int(x.size(2)), int(x.size(3)),
                 pointer<T>(x), pointer<T>(y));
        },
        y.size(1), x.address(), y.address());
  });
}

}  // namespace

bool resize2d(const Tensor& x, Interpolation interpolation, Tensor& y) {
  return apply("resize2d", interpolation, false, x, y);
}

bool resize2d_backward(const Tensor& dy, Interpolation interpolation, Tensor& dx) {
  return apply("resize2d_backward", interpolation, true, dy, dx);
}

}  // namespace kintsugi::cuda
