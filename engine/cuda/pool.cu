#include "kintsugi/engine/cuda/pool.h"

#include "kintsugi/engine/cuda/grid.h"
#include "kintsugi/engine/cuda/reduce.h"

namespace kintsugi::cuda {

namespace {

// [begin, end) along an axis, and the axis's part of the divisor.
struct Span {
  int begin, end, divisor;
};

// One axis of windows of fixed size: what output i reads, and which outputs read input h.
struct Sliding {
  int kernel, stride, before, after, input, output;
  bool count_pad;

  __device__ __forceinline__ Span window(int i) const {
    const int start = i * stride - before;
    const int stop = start + kernel < input + after ? start + kernel : input + after;
    const int begin = start > 0 ? start : 0, end = stop < input ? stop : input;
    return {begin, end, count_pad ? stop - start : end - begin};
  }
  __device__ __forceinline__ Span readers(int h) const {
    const int past = h + before - kernel, last = (h + before) / stride + 1;
    return {past < 0 ? 0 : past / stride + 1, last < output ? last : output, 1};
  }
};

// The quotient of a product that seldom needs 64 bits.
__device__ __forceinline__ int product_over(int a, int b, int divisor, int round) {
  const uint64_t product = uint64_t(a) * uint64_t(b) + uint64_t(round);
  if (product >> 32 == 0) return int(uint32_t(product) / uint32_t(divisor));
  return int(product / uint64_t(divisor));
}

// One axis of adaptive windows: i reads floor(i*in/out) .. ceil((i+1)*in/out). Which outputs read
// an input is the same question with the extents exchanged.
struct Adaptive {
  int input, output;

  __device__ __forceinline__ static Span between(int i, int from, int to) {
    const int begin = product_over(i, to, from, 0), end = product_over(i + 1, to, from, from - 1);
    return {begin, end, end - begin};
  }
  __device__ __forceinline__ Span window(int i) const { return between(i, output, input); }
  __device__ __forceinline__ Span readers(int h) const { return between(h, input, output); }
};

template <class Axis>
struct Windows {
  Axis rows, columns;
  int channels;
  int64_t images;
};

// body(image, row, column, channel) over the cells of a result of `rows` by `columns`: a block a
// row, a thread kWidth channels of a cell at a time.
template <int kWidth, class Body>
__device__ __forceinline__ void for_each_cell(int64_t images, int rows, int columns, int channels,
                                              const Body& body) {
  const int64_t lanes = channels / kWidth, items = lanes * columns;
  for (int64_t line = blockIdx.x; line < images * rows; line += gridDim.x) {
    const int64_t image = line / rows;
    for (int64_t e = threadIdx.x; e < items; e += blockDim.x) {
      const int column = int(uint32_t(e) / uint32_t(lanes));
      body(image, int(line - image * rows), column, int(e - column * lanes) * kWidth);
    }
  }
}

template <class T, int kWidth>
__global__ void max_kernel(Windows<Sliding> w, const T* x, T* y, int32_t* indices) {
  const int height = w.rows.input, width = w.columns.input;
  for_each_cell<kWidth>(
      w.images, w.rows.output, w.columns.output, w.channels, [&](int64_t n, int i, int j, int c) {
        const Span rows = w.rows.window(i), columns = w.columns.window(j);
        const T* image = x + n * height * width * w.channels + c;
        const T* first = image + (int64_t(rows.begin) * width + columns.begin) * w.channels;
        Floats<kWidth> best = read<kWidth>(first);
        Vector<int32_t, kWidth> winner;
        for (int k = 0; k < kWidth; ++k) winner.at[k] = rows.begin * width + columns.begin;
        for (int h = rows.begin; h < rows.end; ++h) {
          for (int v = columns.begin; v < columns.end; ++v) {
            const auto value = read<kWidth>(image + (int64_t(h) * width + v) * w.channels);
            for (int k = 0; k < kWidth; ++k) {
              // NaN wins, and the first of them.
              const float a = value.at[k], b = best.at[k];
              if (a > b || (a != a && b == b)) {
                best.at[k] = a;
                winner.at[k] = h * width + v;
              }
            }
          }
        }
        const int64_t at = ((n * w.rows.output + i) * w.columns.output + j) * w.channels + c;
        write(y + at, best);
        store(indices + at, winner);
      });
}

template <class T, int kWidth>
__global__ void max_backward_kernel(Windows<Sliding> w, const T* dy, const int32_t* indices,
                                    T* dx) {
  for_each_cell<kWidth>(
      w.images, w.rows.input, w.columns.input, w.channels, [&](int64_t n, int h, int v, int c) {
        const Span rows = w.rows.readers(h), columns = w.columns.readers(v);
        const int32_t here = h * w.columns.input + v;
        Floats<kWidth> sum{};
        for (int i = rows.begin; i < rows.end; ++i) {
          for (int j = columns.begin; j < columns.end; ++j) {
            const int64_t at = ((n * w.rows.output + i) * w.columns.output + j) * w.channels + c;
            const auto value = read<kWidth>(dy + at);
            const auto winner = load<kWidth>(indices + at);
            for (int k = 0; k < kWidth; ++k) {
              sum.at[k] += winner.at[k] == here ? value.at[k] : 0;
            }
          }
        }
        write(dx + ((n * w.rows.input + h) * w.columns.input + v) * w.channels + c, sum);
      });
}

template <class T, int kWidth, class Axis>
__global__ void average_kernel(Windows<Axis> w, const T* x, T* y) {
  const int height = w.rows.input, width = w.columns.input;
  for_each_cell<kWidth>(
      w.images, w.rows.output, w.columns.output, w.channels, [&](int64_t n, int i, int j, int c) {
        const Span rows = w.rows.window(i), columns = w.columns.window(j);
        const T* image = x + n * height * width * w.channels + c;
        double sum[kWidth] = {};  // of the windows' rows
        for (int h = rows.begin; h < rows.end; ++h) {
          float line[kWidth] = {};
          for (int v = columns.begin; v < columns.end; ++v) {
            const auto value = read<kWidth>(image + (int64_t(h) * width + v) * w.channels);
            for (int k = 0; k < kWidth; ++k) line[k] += value.at[k];
          }
          for (int k = 0; k < kWidth; ++k) sum[k] += double(line[k]);
        }
        Floats<kWidth> mean;
        const float divisor = float(rows.divisor) * float(columns.divisor);
        for (int k = 0; k < kWidth; ++k) mean.at[k] = float(sum[k]) / divisor;
        write(y + ((n * w.rows.output + i) * w.columns.output + j) * w.channels + c, mean);
      });
}

template <class T, int kWidth, class Axis>
__global__ void average_backward_kernel(Windows<Axis> w, const T* dy, T* dx) {
  for_each_cell<kWidth>(
      w.images, w.rows.input, w.columns.input, w.channels, [&](int64_t n, int h, int v, int c) {
        const Span rows = w.rows.readers(h), columns = w.columns.readers(v);
        Floats<kWidth> sum{};
        for (int i = rows.begin; i < rows.end; ++i) {
          const float by_row = float(w.rows.window(i).divisor);
          for (int j = columns.begin; j < columns.end; ++j) {
            const float scale = 1 / (by_row * float(w.columns.window(j).divisor));
            const int64_t at = ((n * w.rows.output + i) * w.columns.output + j) * w.channels + c;
            const auto value = read<kWidth>(dy + at);
            for (int k = 0; k < kWidth; ++k) sum.at[k] += value.at[k] * scale;
          }
        }
        write(dx + ((n * w.rows.input + h) * w.columns.input + v) * w.channels + c, sum);
      });
}

bool takes(const Tensor& x, const Tensor& y) {
  for (const Tensor* t : {&x, &y}) {
    for (int d = 1; d < 4; ++d) {
      if (t->size(d) > kMaxExtent) return false;
    }
    if (t->size(3) * t->size(1) > kMaxExtent) return false;
  }
  return x.dtype() != DType::kF64;
}

bool takes(const ops::Pool2dParams& p, const Tensor& x, const Tensor& y) {
  for (int axis = 0; axis < 2; ++axis) {
    if (p.kernel[size_t(axis)] > kMaxExtent || p.stride[size_t(axis)] > kMaxExtent) return false;
  }
  return takes(x, y);
}

Windows<Sliding> windows_of(const ops::Pool2dParams& p, const Tensor& x, const Tensor& y) {
  const auto axis = [&](size_t a) {
    const int d = int(a) + 2;
    return Sliding{int(p.kernel[a]),          int(p.stride[a]), int(p.padding[2 * a]),
                   int(p.padding[2 * a + 1]), int(x.size(d)),   int(y.size(d)),
                   p.count_include_pad};
  };
  return {axis(0), axis(1), int(x.size(1)), x.size(0)};
}

Windows<Adaptive> windows_of(const Tensor& x, const Tensor& y) {
  return {{int(x.size(2)), int(y.size(2))},
          {int(x.size(3)), int(y.size(3))},
          int(x.size(1)),
          x.size(0)};
}

// run(T(), width, line blocks, threads) over the rows of `result`, whose channels lie at the given
// addresses.
template <class F, class... Pointers>
void over_rows(const Tensor& result, const F& run, const Pointers*... at) {
  visit_storage(result, [&](auto zero) {
    visit_width<decltype(zero)>(
        [&](auto width) {
          const int64_t lines = result.size(0) * result.size(2);
          const int64_t items = result.size(3) * result.size(1) / width;
          run(zero, width, blocks_for(lines, 1), threads_for_row(items));
        },
        result.size(1), result.address(), at...);
  });
}

template <class Axis>
void average(const char* op, const Tensor& any_x, const Windows<Axis>& windows, const Tensor& y) {
  const Tensor x = any_x.channels_last();
  over_rows(
      y,
      [&](auto zero, auto width, unsigned blocks, unsigned threads) {
        using T = decltype(zero);
        launch(op, average_kernel<T, decltype(width)::value, Axis>, blocks, threads, 0, windows,
               pointer<T>(x), pointer<T>(y));
      },
      x.address());
}

template <class Axis>
void average_backward(const char* op, const Tensor& any_dy, const Windows<Axis>& windows,
                      const Tensor& dx) {
  const Tensor dy = any_dy.channels_last();
  over_rows(
      dx,
      [&](auto zero, auto width, unsigned blocks, unsigned threads) {
        using T = decltype(zero);
        launch(op, average_backward_kernel<T, decltype(width)::value, Axis>, blocks, threads, 0,
               windows, pointer<T>(dy), pointer<T>(dx));
      },
      dy.address());
}

}  // namespace

bool max_pool2d(const Tensor& any_x, const ops::Pool2dParams& params, const Tensor& y,
                const Tensor& indices) {
  if (!takes(params, any_x, y)) return false;
  if (y.numel() == 0) return true;
  const Tensor x = any_x.channels_last();
  over_rows(
      y,
      [&](auto zero, auto width, unsigned blocks, unsigned threads) {
        using T = decltype(zero);
        launch("max_pool2d", max_kernel<T, decltype(width)::value>, blocks, threads, 0,
               windows_of(params, x, y), pointer<T>(x), pointer<T>(y), pointer<int32_t>(indices));
      },
      x.address(), indices.address());
  return true;
}

bool max_pool2d_backward(const Tensor& any_dy, const Tensor& any_indices,
                         const ops::Pool2dParams& params, const Tensor& dx) {
  if (!takes(params, dx, any_dy)) return false;
  if (dx.numel() == 0) return true;
  const Tensor dy = any_dy.channels_last(), indices = any_indices.channels_last();
  over_rows(
      dx,
      [&](auto zero, auto width, unsigned blocks, unsigned threads) {
        using T = decltype(zero);
        launch("max_pool2d_backward", max_backward_kernel<T, decltype(width)::value>, blocks,
               threads, 0, windows_of(params, dx, dy), pointer<T>(dy), pointer<int32_t>(indices),
               pointer<T>(dx));
      },
      dy.address(), indices.address());
  return true;
}

bool avg_pool2d(const Tensor& x, const ops::Pool2dParams& params, const Tensor& y) {
  if (!takes(params, x, y)) return false;
  if (y.numel() != 0) average("avg_pool2d", x, windows_of(params, x, y), y);
  return true;
}

bool avg_pool2d_backward(const Tensor& dy, const ops::Pool2dParams& params, const Tensor& dx) {
  if (!takes(params, dx, dy)) return false;
  if (dx.numel() != 0) average_backward("avg_pool2d_backward", dy, windows_of(params, dx, dy), dx);
  return true;
}

bool adaptive_avg_pool2d(const Tensor& x, const Tensor& y) {
  constexpr const char* kOp = "adaptive_avg_pool2d";
  if (!takes(x, y)) return false;
  if (y.numel() == 0) return true;
  if (y.size(2) == 1 && y.size(3) == 1) {
    Tensor mean = y;
    return reduce(ops::Reduce::kMean, x, mean);
  }
  average(kOp, x, windows_of(x, y), y);
  return true;
}

bool adaptive_avg_pool2d_backward(const Tensor& dy, const Tensor& dx) {
  constexpr const char* kOp = "adaptive_avg_pool2d_backward";
  if (!takes(dx, dy)) return false;
  if (dx.numel() != 0) average_backward(kOp, dy, windows_of(dx, dy), dx);
  return true;
}

}  // namespace kintsugi::cuda
