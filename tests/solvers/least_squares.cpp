#include "kintsugi/solvers/least_squares.h"

#include <doctest/doctest.h>

#include "expect_error.h"
#include "kintsugi/engine/core/context.h"
#include "tests/support/synthetic.h"

namespace kintsugi::solvers {

using test::expect_error;

namespace {

// y = W x + b + noise, rows (n, out).
std::vector<float> outputs(const std::vector<float>& x, size_t in, const Matrix& w,
                           const std::vector<double>& b, double noise, test::Random& random) {
  const size_t n = x.size() / in;
  std::vector<float> y(n * w.rows);
  for (size_t r = 0; r < n; ++r) {
    for (size_t o = 0; o < w.rows; ++o) {
      double sum = b[o] + noise * test::normal(random);
      for (size_t i = 0; i < in; ++i) sum += w(o, i) * x[r * in + i];
      y[r * w.rows + o] = float(sum);
    }
  }
  return y;
}

Matrix random_matrix(size_t rows, size_t cols, test::Random& random) {
  Matrix m(rows, cols);
  for (double& v : m.values) v = test::normal(random);
  return m;
}

double sse_of(const LeastSquaresFit& fit, const std::vector<float>& x, const std::vector<float>& y,
              size_t output) {
  const size_t in = fit.weight.cols, out = fit.weight.rows;
  double sse = 0;
  for (size_t r = 0; r < x.size() / in; ++r) {
    double error = y[r * out + output] - fit.bias[output];
    for (size_t i = 0; i < in; ++i) error -= fit.weight(output, i) * x[r * in + i];
    sse += error * error;
  }
  return sse;
}

}  // namespace

TEST_CASE("least_squares: recovers an affine map over several batches, far from the origin") {
  test::Random random(1);
  const size_t in = 70, out = 13;
  const Matrix w = random_matrix(out, in, random);
  const std::vector<double> b(out, 5);
  LeastSquares fit(in, out);
  for (const size_t rows : {1, 100, 300, 257}) {
    const std::vector<float> x = test::features(random, rows, in, 30);
    const std::vector<float> y = outputs(x, in, w, b, 0, random);
    fit.add(x.data(), y.data(), rows);
  }
  CHECK(fit.rows() == 658);
  const LeastSquaresFit result = fit.solve(0);
  CHECK(result.r2 == doctest::Approx(1).epsilon(1e-9));
  for (size_t o = 0; o < out; ++o) {
    for (size_t i = 0; i < in; ++i)
      CHECK(result.weight(o, i) == doctest::Approx(w(o, i)).epsilon(1e-4));
    CHECK(result.bias[o] == doctest::Approx(5).epsilon(2e-3));
  }
}

TEST_CASE("least_squares: R2 equals 1 - SSE / SST by hand, and no weight does better") {
  test::Random random(2);
  const size_t in = 6, out = 3, rows = 500;
  const Matrix w = random_matrix(out, in, random);
  const std::vector<float> x = test::features(random, rows, in, 1);
  const std::vector<float> y = outputs(x, in, w, {1, 2, 3}, 2, random);
  LeastSquares sums(in, out);
  sums.add(x.data(), y.data(), rows);
  for (const double ridge : {0.0, 0.5}) {
    LeastSquaresFit fit = sums.solve(ridge);
    double sse_total = 0, sst_total = 0;
    for (size_t o = 0; o < out; ++o) {
      double mean = 0, sst = 0;
      for (size_t r = 0; r < rows; ++r) mean += y[r * out + o] / double(rows);
      for (size_t r = 0; r < rows; ++r) sst += (y[r * out + o] - mean) * (y[r * out + o] - mean);
      const double sse = sse_of(fit, x, y, o);
      CHECK(fit.r2_per_output[o] == doctest::Approx(1 - sse / sst).epsilon(1e-9));
      sse_total += sse;
      sst_total += sst;
      if (ridge > 0) continue;
      for (size_t i = 0; i < in; ++i) {
        for (const double nudge : {-1e-3, 1e-3}) {
          fit.weight(o, i) += nudge;
          CHECK(sse_of(fit, x, y, o) > sse);
          fit.weight(o, i) -= nudge;
        }
      }
    }
    CHECK(fit.r2 == doctest::Approx(1 - sse_total / sst_total).epsilon(1e-9));
  }
}

TEST_CASE("least_squares: more inputs than a block, more than rows, collinear, constant") {
  test::Random random(3);
  SUBCASE("wide: blocked factorisation against its own normal equations") {
    const size_t in = 200, out = 90, rows = 1000;
    const Matrix w = random_matrix(out, in, random);
    const std::vector<float> x = test::features(random, rows, in);
    const std::vector<float> y = outputs(x, in, w, std::vector<double>(out, 0), 1, random);
    LeastSquares sums(in, out);
    sums.add(x.data(), y.data(), rows);
    const LeastSquaresFit fit = sums.solve(0);
    double worst = 0;  // at the optimum the residual is orthogonal to every input
    for (size_t o = 0; o < out; ++o) {
      std::vector<double> slope(in, 0);
      for (size_t r = 0; r < rows; ++r) {
        double error = y[r * out + o] - fit.bias[o];
        for (size_t i = 0; i < in; ++i) error -= fit.weight(o, i) * x[r * in + i];
        for (size_t i = 0; i < in; ++i) slope[i] += error * x[r * in + i];
      }
      for (const double s : slope) worst = std::max(worst, std::abs(s));
    }
    CHECK(worst < 1e-6);
  }
  SUBCASE("fewer rows than inputs") {
    const std::vector<float> x = test::features(random, 5, 20), y = test::features(random, 5, 2);
    LeastSquares sums(20, 2);
    sums.add(x.data(), y.data(), 5);
    const LeastSquaresFit fit = sums.solve(0);
    CHECK(fit.ridge > 0);
    CHECK(fit.r2 > 0.999);
    for (const double v : fit.weight.values) CHECK(std::isfinite(v));
  }
  SUBCASE("the same input twice") {
    std::vector<float> x = test::features(random, 50, 2);
    for (size_t r = 0; r < 50; ++r) x[2 * r + 1] = x[2 * r];
    std::vector<float> y(50);
    for (size_t r = 0; r < 50; ++r) y[r] = 3 * x[2 * r] + 1;
    LeastSquares sums(2, 1);
    sums.add(x.data(), y.data(), 50);
    const LeastSquaresFit fit = sums.solve();
    CHECK(fit.r2 == doctest::Approx(1).epsilon(1e-5));
    CHECK(fit.weight(0, 0) == doctest::Approx(1.5).epsilon(1e-3));
  }
  SUBCASE("constant inputs and outputs") {
    const std::vector<float> x(30, 0.3f), y(20, 0.7f);
    LeastSquares sums(3, 2);
    sums.add(x.data(), y.data(), 10);
    const LeastSquaresFit fit = sums.solve();
    CHECK(fit.bias[0] == doctest::Approx(0.7));
    CHECK(fit.weight(0, 0) == 0);
    CHECK(fit.r2 == 1);
  }
}

TEST_CASE("least_squares: the same bits whatever the number of threads") {
  test::Random random(6);
  const std::vector<float> x = test::features(random, 400, 150),
                           y = test::features(random, 400, 70);
  Context& context = Context::current();
  const int before = context.threads();
  std::vector<Matrix> weights;
  for (const int threads : {1, 3}) {
    context.set_threads(threads);
    LeastSquares sums(150, 70);
    sums.add(x.data(), y.data(), 400);
    weights.push_back(sums.solve().weight);
  }
  context.set_threads(before);
  CHECK(weights[0].values == weights[1].values);
}

TEST_CASE("least_squares: errors") {
  LeastSquares sums(2, 1);
  const float x[] = {1, NAN}, y[] = {1};
  expect_error(ErrorKind::kUsage, "no rows", [&] { sums.solve(); });
  expect_error(ErrorKind::kNumeric, "x holds a NaN", [&] { sums.add(x, y, 1); });
  expect_error(ErrorKind::kUsage, "expected at least 1", [] { LeastSquares(0, 1); });
  const float good[] = {1, 2};
  sums.add(good, y, 1);
  expect_error(ErrorKind::kUsage, "ridge is -1", [&] { sums.solve(-1); });
}

}  // namespace kintsugi::solvers
