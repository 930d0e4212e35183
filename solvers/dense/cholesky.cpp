#include <algorithm>
#include <cmath>

#include "kintsugi/solvers/dense/products.h"

namespace kintsugi::solvers::dense {

namespace {
constexpr size_t kBlock = 64;
}

bool factorise(Matrix& a, double least) {
  const size_t n = a.rows;
  for (size_t j0 = 0; j0 < n; j0 += kBlock) {
    const size_t j1 = std::min(n, j0 + kBlock);
    for (size_t j = j0; j < j1; ++j) {
      if (!(a(j, j) > least)) return false;
      const double root = std::sqrt(a(j, j));
      double* row = a.values.data() + j * n;
      for (size_t c = j; c < n; ++c) row[c] /= root;
      for (size_t i = j + 1; i < j1; ++i) {
        const double factor = row[i];
        double* below = a.values.data() + i * n;
        for (size_t c = i; c < n; ++c) below[c] -= factor * row[c];
      }
    }
    if (j1 == n) break;
    const Strided<double> right{a.values.data() + j0 * n + j1, 1, n};
    add_products<double>(n - j1, n - j1, j1 - j0, right, right, -1, a.values.data() + j1 * n + j1,
                         n, Part::kUpper);
  }
  return true;
}

void solve_factorised(const Matrix& u, Matrix& b) {
  const size_t n = u.rows, cols = b.cols;
  const auto axpy = [cols](double factor, const double* x, double* y) {
    for (size_t c = 0; c < cols; ++c) y[c] -= factor * x[c];
  };
  double* const x = b.values.data();
  for (size_t j0 = 0; j0 < n; j0 += kBlock) {
    const size_t j1 = std::min(n, j0 + kBlock);
    for (size_t j = j0; j < j1; ++j) {
      for (size_t i = j0; i < j; ++i) axpy(u(i, j), x + i * cols, x + j * cols);
      for (size_t c = 0; c < cols; ++c) x[j * cols + c] /= u(j, j);
    }
    add_products<double>(n - j1, cols, j1 - j0, {u.values.data() + j0 * n + j1, 1, n},
                         {x + j0 * cols, 1, cols}, -1, x + j1 * cols, cols);
  }
  for (size_t j1 = n; j1 > 0;) {
    const size_t j0 = (j1 - 1) / kBlock * kBlock;
    for (size_t j = j1; j-- > j0;) {
      for (size_t i = j + 1; i < j1; ++i) axpy(u(j, i), x + i * cols, x + j * cols);
      for (size_t c = 0; c < cols; ++c) x[j * cols + c] /= u(j, j);
    }
    add_products<double>(j0, cols, j1 - j0, {u.values.data() + j0, n, 1}, {x + j0 * cols, 1, cols},
                         -1, x, cols);
    j1 = j0;
  }
}

}  // namespace kintsugi::solvers::dense
