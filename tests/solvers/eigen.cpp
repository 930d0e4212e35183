#include "kintsugi/solvers/dense/eigen.h"

#include <doctest/doctest.h>

#include <cmath>

#include "kintsugi/engine/core/context.h"
#include "tests/support/synthetic.h"

namespace kintsugi::solvers {

namespace {

Matrix symmetric(size_t n, uint64_t seed) {
  test::Random random(seed);
  Matrix a(n, n);
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j <= i; ++j) a(i, j) = a(j, i) = test::normal(random);
  }
  return a;
}

void check_decomposition(const Matrix& a, double scale) {
  const size_t n = a.rows;
  Matrix vectors = a, spoilt = a;
  const std::vector<double> values = dense::symmetric_eigen(vectors, dense::Vectors::kYes);
  const std::vector<double> alone = dense::symmetric_eigen(spoilt, dense::Vectors::kNo);
  REQUIRE(values.size() == n);
  const double tolerance = 1e-14 * scale * double(n + 1);
  for (size_t k = 0; k < n; ++k) {
    CHECK(std::abs(values[k] - alone[k]) <= tolerance);
    if (k > 0) CHECK(values[k] <= values[k - 1]);
    double residual = 0;
    for (size_t i = 0; i < n; ++i) {
      double sum = 0;
      for (size_t j = 0; j < n; ++j) sum += a(i, j) * vectors(k, j);
      residual = std::max(residual, std::abs(sum - values[k] * vectors(k, i)));
    }
    CHECK(residual <= tolerance);
    for (size_t l = 0; l <= k; ++l) {
      double product = 0;
      for (size_t i = 0; i < n; ++i) product += vectors(k, i) * vectors(l, i);
      CHECK(std::abs(product - double(k == l)) <= 1e-14 * double(n + 1));
    }
  }
}

}  // namespace

TEST_CASE("eigen: A v = lambda v, vectors orthonormal, at every small size") {
  for (size_t n = 1; n <= 12; ++n) check_decomposition(symmetric(n, n), 4);
  check_decomposition(symmetric(97, 5), 30);
}

TEST_CASE("eigen: equal values, zeros, diagonals, few directions") {
  check_decomposition(Matrix(6, 6), 1);
  Matrix diagonal(7, 7);
  for (size_t i = 0; i < 7; ++i) diagonal(i, i) = double(i % 3);
  check_decomposition(diagonal, 3);
  check_decomposition(Matrix(9, 9, 2.5), 25);
  // Of 40 values three are not zero, and they span 12 orders of magnitude.
  test::Random random(8);
  Matrix low(40, 40);
  for (const double scale : {1.0, 1e-6, 1e-12}) {
    std::vector<double> v(40);
    for (double& x : v) x = test::normal(random);
    for (size_t i = 0; i < 40; ++i) {
      for (size_t j = 0; j < 40; ++j) low(i, j) += scale * v[i] * v[j];
    }
  }
  check_decomposition(low, 60);
}

TEST_CASE("eigen: the same bits whatever the number of threads") {
  Context& context = Context::current();
  const int before = context.threads();
  std::vector<Matrix> vectors;
  for (const int threads : {1, 3}) {
    context.set_threads(threads);
    vectors.push_back(symmetric(400, 2));
    dense::symmetric_eigen(vectors.back(), dense::Vectors::kYes);
  }
  context.set_threads(before);
  CHECK(vectors[0].values == vectors[1].values);
}

}  // namespace kintsugi::solvers
