#include "kintsugi/solvers/naswot.h"

#include <doctest/doctest.h>

#include "expect_error.h"
#include "tests/support/synthetic.h"

namespace kintsugi::solvers {

using test::expect_error;

TEST_CASE("naswot: the kernel is c c^T + (1 - c)(1 - c)^T, summed over modules") {
  test::Random random(1);
  const size_t inputs = 7;
  Naswot naswot(inputs), first(inputs), second(inputs);
  Matrix expected(inputs, inputs);
  size_t units = 0;
  for (const size_t width : {1, 63, 64, 65, 1000}) {
    std::vector<float> x = test::features(random, inputs, width);
    x[0] = 0;  // zero is off
    naswot.add(x.data(), inputs, width);
    (width < 64 ? first : second).add(x.data(), inputs, width);
    for (size_t s = 0; s < inputs; ++s) {
      for (size_t t = 0; t < inputs; ++t) {
        for (size_t u = 0; u < width; ++u) {
          const double a = x[s * width + u] > 0, b = x[t * width + u] > 0;
          expected(s, t) += a * b + (1 - a) * (1 - b);
        }
      }
    }
    units += width;
  }
  CHECK(naswot.kernel().values == expected.values);
  CHECK(naswot.units() == units);
  first.merge(second);
  CHECK(first.kernel().values == expected.values);
  CHECK(first.units() == units);
  CHECK(first.score() == naswot.score());
}

TEST_CASE("naswot: the score is log |det K|") {
  // Codes 00, 01, 11: K = [[2,1,0],[1,2,1],[0,1,2]], det 4.
  const float x[] = {-1, -1, -1, 1, 1, 1};
  Naswot naswot(3);
  naswot.add(x, 3, 2);
  CHECK(naswot.score() == doctest::Approx(std::log(4.0)).epsilon(1e-14));
  // Two inputs with one code cannot be told apart.
  const float same[] = {1, -1, 1, -1};
  Naswot singular(2);
  singular.add(same, 2, 2);
  CHECK(singular.score() == -INFINITY);
  CHECK(Naswot(2).score() == -INFINITY);
}

TEST_CASE("naswot: log_det of products of triangular matrices") {
  test::Random random(4);
  for (const size_t n : {1, 2, 5, 40}) {
    Matrix l(n, n), a(n, n);
    double expected = 0;
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = 0; j < i; ++j) l(i, j) = test::normal(random);
      l(i, i) = 0.5 + test::uniform(random);
      expected += 2 * std::log(l(i, i));
    }
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = 0; j < n; ++j) {
        for (size_t k = 0; k < n; ++k) a(i, j) += l(i, k) * l(j, k);
      }
    }
    CHECK(log_det(a) == doctest::Approx(expected).epsilon(1e-6));
  }
}

TEST_CASE("naswot: errors") {
  const float x[] = {1, NAN};
  Naswot naswot(2);
  expect_error(ErrorKind::kNumeric, "NaN", [&] { naswot.add(x, 2, 1); });
  expect_error(ErrorKind::kShape, "expected (2, ", [&] { naswot.add(x, 1, 2); });
  expect_error(ErrorKind::kShape, "over 3 inputs", [&] { naswot.merge(Naswot(3)); });
  expect_error(ErrorKind::kUsage, "0 inputs", [] { Naswot(0); });
  expect_error(ErrorKind::kShape, "square", [] { log_det(Matrix(2, 3)); });
}

}  // namespace kintsugi::solvers
