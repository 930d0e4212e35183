#include "kintsugi/engine/ref/softmax.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace kintsugi::ref {

namespace {

// (rows, n) copies with `dim` last.
Tensor as_rows(const Tensor& x, int dim) {
  return x.transpose(dim, -1).contiguous();
}

template <class T>
void softmax_row(const T* x, int64_t n, bool logarithm, T* y) {
  double largest = -std::numeric_limits<double>::infinity();
  for (int64_t i = 0; i < n; ++i) largest = std::max(largest, double(x[i]));
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += std::exp(x[i] - largest);
  for (int64_t i = 0; i < n; ++i) {
    const double shifted = x[i] - largest;
    y[i] = T(logarithm ? shifted - std::log(sum) : std::exp(shifted) / sum);
  }
}

template <class T>
void softmax_backward_row(const T* y, const T* dy, int64_t n, bool logarithm, T* dx) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += logarithm ? double(dy[i]) : double(dy[i]) * y[i];
  for (int64_t i = 0; i < n; ++i) {
    dx[i] = T(logarithm ? dy[i] - std::exp(double(y[i])) * sum : y[i] * (dy[i] - sum));
  }
}

}  // namespace

void softmax(const Tensor& x, int dim, bool logarithm, Tensor y) {
  const Tensor rows = as_rows(x, dim);
  const Tensor out = Tensor::empty(rows.shape(), x.dtype());
  const int64_t n = x.size(dim);
  visit_floating("softmax", x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    for (int64_t i = 0; i < x.numel(); i += n) {
      softmax_row(rows.data<T>() + i, n, logarithm, out.data<T>() + i);
    }
  });
  y.copy_from(out.transpose(dim, -1));
}

void softmax_backward(const Tensor& y, const Tensor& dy, int dim, bool logarithm, Tensor dx) {
  const Tensor y_rows = as_rows(y, dim), dy_rows = as_rows(dy, dim);
  const Tensor out = Tensor::empty(y_rows.shape(), y.dtype());
  const int64_t n = y.size(dim);
  visit_floating("softmax_backward", y.dtype(), [&](auto zero) {
    using T = decltype(zero);
    for (int64_t i = 0; i < y.numel(); i += n) {
      softmax_backward_row(y_rows.data<T>() + i, dy_rows.data<T>() + i, n, logarithm,
                           out.data<T>() + i);
    }
  });
  dx.copy_from(out.transpose(dim, -1));
}

}  // namespace kintsugi::ref
