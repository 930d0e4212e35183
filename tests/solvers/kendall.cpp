#include "kintsugi/solvers/kendall.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "expect_error.h"
#include "tests/support/synthetic.h"

namespace kintsugi::solvers {

using test::expect_error;

namespace {

double brute_force(const std::vector<double>& x, const std::vector<double>& y) {
  double agreeing = 0, pairs_x = 0, pairs_y = 0;
  const auto sign = [](double a, double b) { return double(a > b) - double(a < b); };
  for (size_t i = 0; i < x.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      const double dx = sign(x[i], x[j]), dy = sign(y[i], y[j]);
      agreeing += dx * dy;
      pairs_x += dx * dx;
      pairs_y += dy * dy;
    }
  }
  return agreeing / std::sqrt(pairs_x * pairs_y);
}

}  // namespace

TEST_CASE("kendall: every pair compared, with and without ties") {
  test::Random random(1);
  for (const size_t n : {2, 3, 5, 16, 61, 200}) {
    for (const double levels : {3.0, 10.0, 1e9}) {
      std::vector<double> x(n), y(n);
      for (size_t i = 0; i < n; ++i) {
        x[i] = std::floor(levels * test::uniform(random));
        y[i] = std::floor(levels * test::uniform(random)) + (i % 3 == 0 ? x[i] : 0);
      }
      x[0] = -1, y[0] = -1;  // so that neither is constant
      const double tau = kendall_tau(x, y);
      CHECK(tau == doctest::Approx(brute_force(x, y)).epsilon(1e-12));
      CHECK(kendall_tau(y, x) == doctest::Approx(tau).epsilon(1e-12));
      for (double& v : y) v = -v;
      CHECK(kendall_tau(x, y) == doctest::Approx(-tau).epsilon(1e-12));
    }
  }
}

TEST_CASE("kendall: by hand, and where it has no value") {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  const std::vector<double> up{1, 2, 3, 4}, swapped{1, 2, 4, 3}, same{5, 5, 5, 5};
  CHECK(kendall_tau(up, up) == 1);
  CHECK(kendall_tau(up, swapped) == doctest::Approx(4.0 / 6));
  CHECK(kendall_tau(up, std::vector{-kInf, 0.0, 1.0, kInf}) == 1);
  // Two -infinities are a tie: five pairs agree of six in x and five in y.
  CHECK(kendall_tau(up, std::vector{-kInf, -kInf, 1.0, 2.0}) ==
        doctest::Approx(5 / std::sqrt(30.0)));
  CHECK(std::isnan(kendall_tau(up, same)));
  CHECK(std::isnan(kendall_tau(std::vector{1.0}, std::vector{1.0})));
  expect_error(ErrorKind::kShape, "4 and 1", [&] { kendall_tau(up, std::vector{1.0}); });
  expect_error(ErrorKind::kNumeric, "value 1 is NaN", [&] {
    kendall_tau(std::vector{1.0, 2.0}, std::vector{1.0, std::nan("")});
  });
}

TEST_CASE("kendall: chance stays below its limit as often as it says") {
  test::Random random(7);
  size_t within = 0;
  constexpr size_t kTrials = 2000, kItems = 30;
  for (size_t t = 0; t < kTrials; ++t) {
    std::vector<double> x(kItems), y(kItems);
    for (size_t i = 0; i < kItems; ++i) x[i] = test::uniform(random), y[i] = test::uniform(random);
    within += std::abs(kendall_tau(x, y)) < kendall_chance(kItems);
  }
  CHECK(double(within) / kTrials > 0.93);
  CHECK(double(within) / kTrials < 0.97);
}

}  // namespace kintsugi::solvers
