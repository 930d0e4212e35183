#include "kintsugi/solvers/spectrum.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "expect_error.h"
#include "tests/support/synthetic.h"

namespace kintsugi::solvers {

using test::expect_error;

namespace {

Matrix random_symmetric(test::Random& random, size_t n) {
  Matrix a(n, n);
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j <= i; ++j) a(i, j) = a(j, i) = test::normal(random);
  }
  return a;
}

// The number of eigenvalues below `shift`: Sylvester's law, signs of the pivots of A - shift.
size_t below(Matrix a, double shift) {
  size_t negative = 0;
  const size_t n = a.rows;
  for (size_t i = 0; i < n; ++i) a(i, i) -= shift;
  for (size_t k = 0; k < n; ++k) {
    negative += a(k, k) < 0;
    for (size_t i = k + 1; i < n; ++i) {
      const double factor = a(i, k) / a(k, k);
      for (size_t j = k; j < n; ++j) a(i, j) -= factor * a(k, j);
    }
  }
  return negative;
}

}  // namespace

TEST_CASE("spectrum: eigenvalues where Sylvester's law has them") {
  test::Random random(3);
  for (const size_t n : {1, 2, 3, 8, 33}) {
    const Matrix a = random_symmetric(random, n);
    const std::vector<double> values = eigenvalues(a);
    REQUIRE(values.size() == n);
    for (size_t i = 0; i < n; ++i) {
      CHECK(below(a, values[i] - 1e-10) <= i);
      CHECK(below(a, values[i] + 1e-10) >= i + 1);
    }
  }
  Matrix diagonal(3, 3);
  diagonal(0, 0) = 5, diagonal(1, 1) = -2, diagonal(2, 2) = 1e-300;
  CHECK(eigenvalues(diagonal) == std::vector<double>{-2, 1e-300, 5});
  CHECK(eigenvalues(Matrix(2, 2)) == std::vector<double>{0, 0});
  expect_error(ErrorKind::kShape, "2 by 3", [] { eigenvalues(Matrix(2, 3)); });
  expect_error(ErrorKind::kNumeric, "nan", [] { eigenvalues(Matrix(1, 1, std::nan(""))); });
}

TEST_CASE("spectrum: inner products and the condition number") {
  test::Random random(5);
  Matrix a(3, 300), b(5, 300);
  for (Matrix* m : {&a, &b}) {
    for (double& v : m->values) v = test::normal(random);
  }
  const Matrix c = inner_products(a, b);
  for (size_t i = 0; i < 3; ++i) {
    for (size_t j = 0; j < 5; ++j) {
      double sum = 0;
      for (size_t k = 0; k < 300; ++k) sum += a(i, k) * b(j, k);
      CHECK(c(i, j) == doctest::Approx(sum).epsilon(1e-12));
    }
  }
  Matrix two(2, 2);
  two(0, 0) = 3, two(1, 1) = 3, two(0, 1) = two(1, 0) = 1;
  CHECK(condition_number(two) == doctest::Approx(2));
  two(0, 1) = two(1, 0) = 3;
  CHECK(condition_number(two) == std::numeric_limits<double>::infinity());
  CHECK(condition_number(Matrix(2, 2)) == std::numeric_limits<double>::infinity());
  expect_error(ErrorKind::kShape, "300 and 2", [&] { inner_products(a, two); });
}

TEST_CASE("spectrum: jacov of two Jacobians, whose correlation has eigenvalues 1 + r and 1 - r") {
  Matrix rows(2, 4);
  rows.values = {1, 2, 3, 5, 2, 1, 4, 6};
  double product = 0, square0 = 0, square1 = 0;
  for (size_t j = 0; j < 4; ++j) {
    const double x = rows(0, j) - 11.0 / 4, y = rows(1, j) - 13.0 / 4;
    product += x * y, square0 += x * x, square1 += y * y;
  }
  const double r = product / std::sqrt(square0 * square1);
  double want = 0;
  for (const double v : {1 + r + 1e-5, 1 - r + 1e-5}) want -= std::log(v) + 1 / v;
  CHECK(jacov(rows) == doctest::Approx(want).epsilon(1e-12));
  // Two equal Jacobians are the worst but for one that says nothing.
  rows.values = {1, 2, 3, 5, 1, 2, 3, 5};
  CHECK(jacov(rows) < -9e4);
  rows.values = {1, 2, 3, 5, 4, 4, 4, 4};
  CHECK(jacov(rows) == -std::numeric_limits<double>::infinity());
  rows(0, 0) = std::nan("");
  expect_error(ErrorKind::kNumeric, "Jacobian 0", [&] { jacov(rows); });
}

}  // namespace kintsugi::solvers
