#include "kintsugi/engine/ref/pool.h"

#include <algorithm>
#include <cmath>

#include "kintsugi/engine/ref/grid.h"

namespace kintsugi::ref {

namespace {

// What cell i of the output reads: input positions [begin, end), and the part of the divisor that
// belongs to this axis.
struct Window {
  int64_t begin, end, divisor;
};

Window window_of(const ops::Pool2dParams& p, int axis, int64_t i, int64_t input) {
  const int64_t before = p.padding[size_t(2 * axis)], after = p.padding[size_t(2 * axis + 1)];
  const int64_t start = i * p.stride[size_t(axis)] - before;
  const int64_t stop = std::min(start + p.kernel[size_t(axis)], input + after);
  const int64_t begin = std::max<int64_t>(start, 0), end = std::min(stop, input);
  return {begin, end, p.count_include_pad ? stop - start : end - begin};
}

Window adaptive_window(int64_t i, int64_t input, int64_t output) {
  const int64_t begin = i * input / output, end = ((i + 1) * input + output - 1) / output;
  return {begin, end, end - begin};
}

// Both directions of averaging; windows(axis, i) names cell i's window.
template <class T, class Windows>
void average(const Grid<T>& in, const Grid<T>& out, const Windows& windows) {
  for_each_cell(out, [&](int64_t n, int64_t c, int64_t i, int64_t j) {
    const Window rows = windows(0, i), columns = windows(1, j);
    double sum = 0;
    for (int64_t h = rows.begin; h < rows.end; ++h) {
      for (int64_t w = columns.begin; w < columns.end; ++w) sum += double(in(n, c, h, w));
    }
    out(n, c, i, j) = T(sum / double(rows.divisor * columns.divisor));
  });
}

template <class T, class Windows>
void average_backward(const Grid<T>& dy, const Grid<T>& dx, const Windows& windows) {
  for_each_cell(dx, [&](int64_t n, int64_t c, int64_t h, int64_t w) {
    double sum = 0;
    for (int64_t i = 0; i < dy.h; ++i) {
      const Window rows = windows(0, i);
      if (h < rows.begin || h >= rows.end) continue;
      for (int64_t j = 0; j < dy.w; ++j) {
        const Window columns = windows(1, j);
        if (w < columns.begin || w >= columns.end) continue;
        sum += double(dy(n, c, i, j)) / double(rows.divisor * columns.divisor);
      }
    }
    dx(n, c, h, w) = T(sum);
  });
}

auto windows_of(const ops::Pool2dParams& params, const Tensor& x) {
  return [&params, h = x.size(2), w = x.size(3)](int axis, int64_t i) {
    return window_of(params, axis, i, axis == 0 ? h : w);
  };
}

auto adaptive_windows(const Tensor& x, const Tensor& y) {
  return [h = x.size(2), w = x.size(3), oh = y.size(2), ow = y.size(3)](int axis, int64_t i) {
    return axis == 0 ? adaptive_window(i, h, oh) : adaptive_window(i, w, ow);
  };
}

}  // namespace

void max_pool2d(const Tensor& x, const ops::Pool2dParams& params, const Tensor& y,
                const Tensor& indices) {
  visit_floating("max_pool2d", y.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const Grid<T> in(x), out(y);
    const Grid<int32_t> winner(indices);
    for_each_cell(out, [&](int64_t n, int64_t c, int64_t i, int64_t j) {
      const Window rows = window_of(params, 0, i, in.h), columns = window_of(params, 1, j, in.w);
      int64_t best = rows.begin * in.w + columns.begin;
      T value = in(n, c, rows.begin, columns.begin);
      for (int64_t h = rows.begin; h < rows.end; ++h) {
        for (int64_t w = columns.begin; w < columns.end; ++w) {
          const T candidate = in(n, c, h, w);
          if (candidate > value || (std::isnan(candidate) && !std::isnan(value))) {
            value = candidate;
            best = h * in.w + w;
          }
        }
      }
      out(n, c, i, j) = value;
      winner(n, c, i, j) = int32_t(best);
    });
  });
}

void max_pool2d_backward(const Tensor& dy, const Tensor& indices, const ops::Pool2dParams&,
                         const Tensor& dx) {
  visit_floating("max_pool2d_backward", dx.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const Grid<T> gradient(dy), out(dx);
    const Grid<int32_t> winner(indices);
    for_each_cell(out, [&](int64_t n, int64_t c, int64_t h, int64_t w) { out(n, c, h, w) = 0; });
    for_each_cell(gradient, [&](int64_t n, int64_t c, int64_t i, int64_t j) {
      const int64_t at = winner(n, c, i, j);
      out(n, c, at / out.w, at % out.w) += gradient(n, c, i, j);
    });
  });
}

void avg_pool2d(const Tensor& x, const ops::Pool2dParams& params, const Tensor& y) {
  visit_floating("avg_pool2d", y.dtype(), [&](auto zero) {
    using T = decltype(zero);
    average(Grid<T>(x), Grid<T>(y), windows_of(params, x));
  });
}

void avg_pool2d_backward(const Tensor& dy, const ops::Pool2dParams& params, const Tensor& dx) {
  visit_floating("avg_pool2d_backward", dx.dtype(), [&](auto zero) {
    using T = decltype(zero);
    average_backward(Grid<T>(dy), Grid<T>(dx), windows_of(params, dx));
  });
}

void adaptive_avg_pool2d(const Tensor& x, const Tensor& y) {
  visit_floating("adaptive_avg_pool2d", y.dtype(), [&](auto zero) {
    using T = decltype(zero);
    average(Grid<T>(x), Grid<T>(y), adaptive_windows(x, y));
  });
}

void adaptive_avg_pool2d_backward(const Tensor& dy, const Tensor& dx) {
  visit_floating("adaptive_avg_pool2d_backward", dx.dtype(), [&](auto zero) {
    using T = decltype(zero);
    average_backward(Grid<T>(dy), Grid<T>(dx), adaptive_windows(dx, dy));
  });
}

}  // namespace kintsugi::ref
