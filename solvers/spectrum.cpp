#include "kintsugi/solvers/spectrum.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kintsugi/engine/core/error.h"
#include "kintsugi/solvers/dense/products.h"

namespace kintsugi::solvers {

std::vector<double> eigenvalues(const Matrix& symmetric) {
  if (symmetric.rows != symmetric.cols) {
    fail(ErrorKind::kShape, "eigenvalues: a matrix of ", symmetric.rows, " by ", symmetric.cols,
         ", expected a square one");
  }
  Matrix a = symmetric;
  const size_t n = a.rows;
  double total = 0;
  for (const double v : a.values) {
    if (!std::isfinite(v)) fail(ErrorKind::kNumeric, "eigenvalues: the matrix holds a ", v);
    total = std::max(total, std::abs(v));
  }
  // Quadratic convergence: a dozen sweeps are more than any matrix needs.
  const double small = total * std::numeric_limits<double>::epsilon() * 1e-3;
  constexpr int kSweeps = 60;
  for (int sweep = 0; sweep < kSweeps; ++sweep) {
    bool rotated = false;
    for (size_t p = 0; p < n; ++p) {
      for (size_t q = p + 1; q < n; ++q) {
        if (std::abs(a(p, q)) <= small) continue;
        rotated = true;
        const double theta = (a(q, q) - a(p, p)) / (2 * a(p, q));
        const double t = (theta >= 0 ? 1 : -1) / (std::abs(theta) + std::hypot(theta, 1));
        const double c = 1 / std::hypot(t, 1), s = t * c;
        for (size_t k = 0; k < n; ++k) {
          const double kp = a(k, p), kq = a(k, q);
          a(k, p) = c * kp - s * kq;
          a(k, q) = s * kp + c * kq;
        }
        for (size_t k = 0; k < n; ++k) {
          const double pk = a(p, k), qk = a(q, k);
          a(p, k) = c * pk - s * qk;
          a(q, k) = s * pk + c * qk;
        }
        a(p, q) = a(q, p) = 0;
      }
    }
    if (!rotated) break;
  }
  std::vector<double> values;
  for (size_t i = 0; i < n; ++i) values.push_back(a(i, i));
  std::sort(values.begin(), values.end());
  return values;
}

Matrix inner_products(const Matrix& a, const Matrix& b) {
  if (a.cols != b.cols) {
    fail(ErrorKind::kShape, "inner products: got rows of ", a.cols, " and ", b.cols, " numbers");
  }
  Matrix out(a.rows, b.rows);
  dense::add_products<double>(a.rows, b.rows, a.cols, {a.values.data(), a.cols, 1},
                              {b.values.data(), b.cols, 1}, 1, out.values.data(), out.cols);
  return out;
}

double jacov(const Matrix& jacobians) {
  const size_t n = jacobians.rows, d = jacobians.cols;
  if (n < 2 || d < 2) {
    fail(ErrorKind::kShape, "jacov: Jacobians are ", n, " by ", d, ", expected at least 2 by 2");
  }
  Matrix rows = jacobians;
  for (size_t i = 0; i < n; ++i) {
    double* row = rows.values.data() + i * d;
    double mean = 0, square = 0;
    for (size_t j = 0; j < d; ++j) mean += row[j];
    mean /= double(d);
    for (size_t j = 0; j < d; ++j) square += (row[j] - mean) * (row[j] - mean);
    if (!std::isfinite(square)) fail(ErrorKind::kNumeric, "jacov: Jacobian ", i, " is not finite");
    if (square == 0) return -std::numeric_limits<double>::infinity();
    for (size_t j = 0; j < d; ++j) row[j] = (row[j] - mean) / std::sqrt(square);
  }
  constexpr double kSmall = 1e-5;
  double score = 0;
  for (const double value : eigenvalues(inner_products(rows, rows))) {
    // A correlation matrix has none below 0; rounding has.
    const double v = std::max(value, 0.0) + kSmall;
    score -= std::log(v) + 1 / v;
  }
  return score;
}

double condition_number(const Matrix& symmetric) {
  const std::vector<double> values = eigenvalues(symmetric);
  if (values.empty()) fail(ErrorKind::kShape, "condition number: the matrix is empty");
  const double least =
      values.back() * double(values.size()) * std::numeric_limits<double>::epsilon();
  if (!(values.front() > std::max(least, 0.0))) return std::numeric_limits<double>::infinity();
  return values.back() / values.front();
}

}  // namespace kintsugi::solvers
