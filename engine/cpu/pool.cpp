#include "kintsugi/engine/cpu/pool.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "kintsugi/engine/cpu/parallel.h"
#include "kintsugi/engine/cpu/simd/pool.h"

namespace kintsugi::cpu {

namespace {

// One axis: what each output cell reads, its part of 1/divisor, and the inverse: which output cells
// read an input position. Both ends ascend with the cell, so those cells are a range too.
struct Axis {
  std::vector<int32_t> begin, end, reader_begin, reader_end;
  std::vector<float> scale;

  void add(int64_t first, int64_t last, int64_t divisor) {
    begin.push_back(int32_t(first));
    end.push_back(int32_t(last));
    scale.push_back(1.0f / float(divisor));
  }
  void invert(int64_t input) {
    const int32_t cells = int32_t(begin.size());
    int32_t first = 0, last = 0;
    for (int64_t at = 0; at < input; ++at) {
      while (first < cells && end[size_t(first)] <= at) ++first;
      while (last < cells && begin[size_t(last)] <= at) ++last;
      reader_begin.push_back(first);
      reader_end.push_back(std::max(first, last));
    }
  }
  PoolSpans cells() const { return {begin.data(), end.data(), int64_t(begin.size())}; }
  PoolSpans readers() const {
    return {reader_begin.data(), reader_end.data(), int64_t(reader_begin.size())};
  }
};

Axis windows_of(const ops::Pool2dParams& p, size_t axis, int64_t input, int64_t output) {
  Axis made;
  for (int64_t i = 0; i < output; ++i) {
    const int64_t start = i * p.stride[axis] - p.padding[2 * axis];
    const int64_t stop = std::min(start + p.kernel[axis], input + p.padding[2 * axis + 1]);
    const int64_t begin = std::max<int64_t>(start, 0), end = std::min(stop, input);
    made.add(begin, end, p.count_include_pad ? stop - start : end - begin);
  }
  made.invert(input);
  return made;
}

Axis adaptive_windows(int64_t input, int64_t output) {
  Axis made;
  for (int64_t i = 0; i < output; ++i) {
    const int64_t begin = i * input / output, end = ((i + 1) * input + output - 1) / output;
    made.add(begin, end, end - begin);
  }
  made.invert(input);
  return made;
}

struct Axes {
  Axis rows, columns;
  Axes(const ops::Pool2dParams& p, const Tensor& x, const Tensor& y)
      : rows(windows_of(p, 0, x.size(2), y.size(2))),
        columns(windows_of(p, 1, x.size(3), y.size(3))) {}
  Axes(const Tensor& x, const Tensor& y)
      : rows(adaptive_windows(x.size(2), y.size(2))),
        columns(adaptive_windows(x.size(3), y.size(3))) {}
};

bool takes(const Tensor& x, const Tensor& y) {
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  return x.dtype() == DType::kF32 && x.numel() > 0 && y.numel() > 0 && x.size(2) <= kMost &&
         x.size(3) <= kMost && y.size(2) <= kMost && y.size(3) <= kMost;
}

// body(image, row) over all rows of all images of `out`; `reads` elements are read in all.
template <class Body>
void over_rows(const Tensor& out, int64_t reads, const Body& body) {
  const int64_t rows = out.size(2), total = out.size(0) * rows;
  const int64_t each = std::max<int64_t>(1, (reads + out.numel()) / total);
  parallel_for(total, std::max<int64_t>(1, (int64_t{1} << 15) / each),
               [&](int64_t begin, int64_t end) {
                 for (int64_t at = begin; at < end; ++at) body(at / rows, at % rows);
               });
}

template <class T>
T* image_of(const Tensor& x, int64_t n) {
  return x.data<T>() + n * x.size(1) * x.size(2) * x.size(3);
}
template <class T>
T* row_of(const Tensor& x, int64_t n, int64_t row) {
  return image_of<T>(x, n) + row * x.size(3) * x.size(1);
}

PoolRows rows_of(const Tensor& read, const PoolSpans& spans, int64_t row) {
  return {read.size(3), read.size(1), spans.begin[row], spans.end[row]};
}

bool average(const Tensor& any_x, const Axes& axes, const Tensor& y) {
  const Tensor x = any_x.channels_last();
  const PoolKernels& kernels = pool_kernels();
  over_rows(y, x.numel(), [&](int64_t n, int64_t i) {
    kernels.average(image_of<float>(x, n), rows_of(x, axes.rows.cells(), i), axes.columns.cells(),
                    axes.rows.scale[size_t(i)], axes.columns.scale.data(), row_of<float>(y, n, i));
  });
  return true;
}

bool average_backward(const Tensor& any_dy, const Axes& axes, const Tensor& dx) {
  const Tensor dy = any_dy.channels_last();
  const PoolKernels& kernels = pool_kernels();
  over_rows(dx, dy.numel(), [&](int64_t n, int64_t h) {
    kernels.average_backward(image_of<float>(dy, n), rows_of(dy, axes.rows.readers(), h),
                             axes.columns.readers(), axes.rows.scale.data(),
                             axes.columns.scale.data(), row_of<float>(dx, n, h));
  });
  return true;
}

}  // namespace

bool max_pool2d(const Tensor& any_x, const ops::Pool2dParams& params, const Tensor& y,
                const Tensor& indices) {
  if (!takes(any_x, y)) return false;
  const Tensor x = any_x.channels_last();
  const Axes axes(params, x, y);
  const PoolKernels& kernels = pool_kernels();
  over_rows(y, x.numel(), [&](int64_t n, int64_t i) {
    kernels.maximum(image_of<float>(x, n), rows_of(x, axes.rows.cells(), i), axes.columns.cells(),
                    row_of<float>(y, n, i), row_of<int32_t>(indices, n, i));
  });
  return true;
}

bool max_pool2d_backward(const Tensor& any_dy, const Tensor& any_indices,
                         const ops::Pool2dParams& params, const Tensor& dx) {
  if (!takes(dx, any_dy)) return false;
  const Tensor dy = any_dy.channels_last(), indices = any_indices.channels_last();
  const Axes axes(params, dx, dy);
  const PoolKernels& kernels = pool_kernels();
  over_rows(dx, 2 * dy.numel(), [&](int64_t n, int64_t h) {
    kernels.maximum_backward(image_of<float>(dy, n), image_of<int32_t>(indices, n),
                             rows_of(dy, axes.rows.readers(), h), axes.columns.readers(),
                             int32_t(h * dx.size(3)), row_of<float>(dx, n, h));
  });
  return true;
}

bool avg_pool2d(const Tensor& x, const ops::Pool2dParams& params, const Tensor& y) {
  return takes(x, y) && average(x, Axes(params, x, y), y);
}

bool avg_pool2d_backward(const Tensor& dy, const ops::Pool2dParams& params, const Tensor& dx) {
  return takes(dx, dy) && average_backward(dy, Axes(params, dx, dy), dx);
}

bool adaptive_avg_pool2d(const Tensor& x, const Tensor& y) {
  return takes(x, y) && average(x, Axes(x, y), y);
}

bool adaptive_avg_pool2d_backward(const Tensor& dy, const Tensor& dx) {
  return takes(dx, dy) && average_backward(dy, Axes(dx, dy), dx);
}

}  // namespace kintsugi::cpu
