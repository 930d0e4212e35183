#include "kintsugi/engine/ref/matmul.h"

namespace kintsugi::ref {

namespace {

// A matrix somewhere in a tensor's storage.
template <class T>
struct Matrix {
  T* data;
  int64_t row, column;
  T& operator()(int64_t i, int64_t j) const { return data[i * row + j * column]; }
};

template <class T>
Matrix<T> matrix(const Tensor& x, int64_t offset = 0) {
  return {x.data<T>() + offset, x.strides()[-2], x.strides()[-1]};
}

template <class T>
void product(Matrix<T> a, Matrix<T> b, Matrix<T> y, int64_t m, int64_t n, int64_t k) {
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      double sum = 0;
      for (int64_t p = 0; p < k; ++p) sum += double(a(i, p)) * b(p, j);
      y(i, j) = T(sum);
    }
  }
}

// Where element `index` of the batch begins.
int64_t batch_offset(const Tensor& x, int64_t index) {
  int64_t offset = 0;
  for (int i = x.rank() - 3; i >= 0; --i) {
    offset += index % x.size(i) * x.strides()[i];
    index /= x.size(i);
  }
  return offset;
}

}  // namespace

void matmul(const Tensor& a, const Tensor& b, const Tensor& y) {
  if (y.numel() == 0) return;
  const int64_t m = y.size(-2), n = y.size(-1), k = a.size(-1);
  visit_floating("matmul", y.dtype(), [&](auto zero) {
    using T = decltype(zero);
    for (int64_t i = 0; i < y.numel() / (m * n); ++i) {
      product(matrix<T>(a, batch_offset(a, i)), matrix<T>(b, batch_offset(b, i)),
              matrix<T>(y, batch_offset(y, i)), m, n, k);
    }
  });
}

void linear(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& y) {
  matmul(x, weight.transpose(0, 1), y);
  if (!bias.defined()) return;
  visit_floating("linear", y.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const Matrix<T> out = matrix<T>(y);
    for (int64_t i = 0; i < y.size(0); ++i) {
      for (int64_t j = 0; j < y.size(1); ++j) out(i, j) += bias.data<T>()[j * bias.strides()[0]];
    }
  });
}

void linear_backward(const Tensor& x, const Tensor& weight, const Tensor& dy, const Tensor& dx,
                     const Tensor& dweight, const Tensor& dbias) {
  if (dx.defined()) matmul(dy, weight, dx);
  if (dweight.defined()) matmul(dy.transpose(0, 1), x, dweight);
  if (!dbias.defined()) return;
  visit_floating("linear_backward", dy.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const Matrix<T> grad = matrix<T>(dy);
    for (int64_t j = 0; j < dy.size(1); ++j) {
      double sum = 0;
      for (int64_t i = 0; i < dy.size(0); ++i) sum += grad(i, j);
      dbias.data<T>()[j] = T(sum);
    }
  });
}

}  // namespace kintsugi::ref
