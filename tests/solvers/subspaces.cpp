#include "kintsugi/solvers/subspaces.h"

#include <doctest/doctest.h>

#include <cmath>

#include "expect_error.h"
#include "kintsugi/engine/core/context.h"
#include "tests/support/synthetic.h"

namespace kintsugi::solvers {

using test::expect_error;

namespace {

constexpr auto kCca = SubspaceMetric::kCca;
constexpr auto kSvcca = SubspaceMetric::kSvcca;
constexpr auto kRegression = SubspaceMetric::kLinearRegression;
constexpr Projection kWhole{.method = Projection::Method::kNone};

Matrix centred(const std::vector<float>& x, size_t rows) {
  const size_t cols = x.size() / rows;
  Matrix out(rows, cols);
  for (size_t c = 0; c < cols; ++c) {
    double mean = 0;
    for (size_t r = 0; r < rows; ++r) mean += double(x[r * cols + c]) / double(rows);
    for (size_t r = 0; r < rows; ++r) out(r, c) = double(x[r * cols + c]) - mean;
  }
  return out;
}

// Singular values by one-sided Jacobi; the columns of x end as U diag(s), strongest first.
std::vector<double> jacobi(Matrix& x) {
  const auto dot = [&](size_t i, size_t j) {
    double sum = 0;
    for (size_t r = 0; r < x.rows; ++r) sum += x(r, i) * x(r, j);
    return sum;
  };
  for (int sweep = 0; sweep < 40; ++sweep) {
    for (size_t i = 0; i < x.cols; ++i) {
      for (size_t j = i + 1; j < x.cols; ++j) {
        const double a = dot(i, i), b = dot(j, j), c = dot(i, j);
        if (std::abs(c) <= 1e-16 * std::sqrt(a * b)) continue;
        const double angle = 0.5 * std::atan2(2 * c, a - b);
        for (size_t r = 0; r < x.rows; ++r) {
          const double u = x(r, i), v = x(r, j);
          x(r, i) = std::cos(angle) * u + std::sin(angle) * v;
          x(r, j) = std::cos(angle) * v - std::sin(angle) * u;
        }
      }
    }
  }
  std::vector<std::pair<double, size_t>> order;
  for (size_t c = 0; c < x.cols; ++c) order.push_back({-std::sqrt(dot(c, c)), c});
  std::sort(order.begin(), order.end());
  Matrix sorted(x.rows, x.cols);
  std::vector<double> s;
  for (size_t c = 0; c < x.cols; ++c) {
    s.push_back(-order[c].first);
    for (size_t r = 0; r < x.rows; ++r) sorted(r, c) = x(r, order[c].second);
  }
  x = sorted;
  return s;
}

// Orthonormal columns that span the first `count` of x's directions.
Matrix directions(const Matrix& features, double share) {
  Matrix x = features;
  const std::vector<double> s = jacobi(x);
  double total = 0, held = 0;
  for (const double v : s) total += v * v;
  size_t count = 0;
  while (count < s.size() && held < share * total && s[count] > 1e-5 * s[0]) {
    held += s[count] * s[count];
    ++count;
  }
  Matrix q(x.rows, count);
  for (size_t c = 0; c < count; ++c) {
    for (size_t r = 0; r < x.rows; ++r) q(r, c) = x(r, c) / s[c];
  }
  return q;
}

Matrix transposed_product(const Matrix& a, const Matrix& b) {
  Matrix out(a.cols, b.cols);
  for (size_t i = 0; i < a.cols; ++i) {
    for (size_t j = 0; j < b.cols; ++j) {
      for (size_t r = 0; r < a.rows; ++r) out(i, j) += a(r, i) * b(r, j);
    }
  }
  return out;
}

double canonical(const Matrix& x, const Matrix& y, SubspaceMetric metric) {
  const double share = metric == kSvcca ? 0.99 : 2;
  Matrix m = transposed_product(directions(x, share), directions(y, share));
  const double least = double(std::min(m.rows, m.cols));
  double sum = 0;
  for (const double rho : jacobi(m)) sum += metric == kSvcca ? rho : rho * rho;
  return sum / least;
}

// Ridge regression of y on x by its definition: weights by Gauss-Jordan on the normal equations,
// residuals, and the hat matrix in full.
double regression(const Matrix& x, const Matrix& y, double ridge) {
  const size_t n = x.rows, d = x.cols;
  Matrix a(d, d + n);  // [X^T X + ridge I | X^T]
  double trace = 0;
  for (size_t i = 0; i < d; ++i) {
    for (size_t j = 0; j < d; ++j) {
      for (size_t r = 0; r < n; ++r) a(i, j) += x(r, i) * x(r, j);
    }
    trace += a(i, i);
    for (size_t r = 0; r < n; ++r) a(i, d + r) = x(r, i);
  }
  for (size_t i = 0; i < d; ++i) a(i, i) += ridge * trace / double(d);
  for (size_t i = 0; i < d; ++i) {
    const double pivot = a(i, i);
    for (double& v : a.row(i)) v /= pivot;
    for (size_t k = 0; k < d; ++k) {
      if (k == i) continue;
      const double factor = a(k, i);
      for (size_t c = 0; c < d + n; ++c) a(k, c) -= factor * a(i, c);
    }
  }
  Matrix hat(n, n);
  for (size_t r = 0; r < n; ++r) {
    for (size_t c = 0; c < n; ++c) {
      for (size_t i = 0; i < d; ++i) hat(r, c) += x(r, i) * a(i, d + c);
    }
  }
  double sse = 0, sst = 0, freedom = 0;
  for (size_t r = 0; r < n; ++r) {
    for (size_t c = 0; c < y.cols; ++c) {
      double fit = 0;
      for (size_t k = 0; k < n; ++k) fit += hat(r, k) * y(k, c);
      sse += (y(r, c) - fit) * (y(r, c) - fit);
      sst += y(r, c) * y(r, c);
    }
    freedom += 2 * hat(r, r);
    for (size_t c = 0; c < n; ++c) freedom -= hat(r, c) * hat(c, r);
  }
  const double left = double(n - 1);
  return std::max(0.0, 1 - (sse / (left - freedom)) / (sst / left));
}

// Features of several widths that share some latent directions.
std::vector<std::vector<float>> positions(size_t rows, const std::vector<size_t>& channels) {
  test::Random random(21);
  const std::vector<float> latent = test::features(random, rows, 5);
  std::vector<std::vector<float>> out;
  for (const size_t width : channels) {
    std::vector<float> x = test::features(random, rows, width, 4);
    for (size_t r = 0; r < rows; ++r) {
      for (size_t c = 0; c < width; ++c) {
        x[r * width + c] += 3 * latent[r * 5 + (c * 7 + width) % 5] / float(1 + c % 4);
      }
    }
    out.push_back(std::move(x));
  }
  return out;
}

std::vector<Basis> bases_of(const std::vector<std::vector<float>>& features, size_t rows,
                            const Projection& projection) {
  std::vector<Basis> out;
  for (size_t p = 0; p < features.size(); ++p) {
    out.push_back(basis_of(features[p].data(), rows, features[p].size() / rows, p, projection));
  }
  return out;
}

}  // namespace

TEST_CASE("subspaces: all three metrics equal their definitions") {
  const size_t rows = 60;
  const std::vector<size_t> channels = {1, 4, 9, 17, 23};
  const auto features = positions(rows, channels);
  const std::vector<Basis> bases = bases_of(features, rows, kWhole);
  for (const SubspaceMetric metric : {kCca, kSvcca, kRegression}) {
    const SubspaceOptions options{.metric = metric, .ridge = 0.01};
    const Matrix all = subspace_similarity(bases, options);
    for (size_t p = 0; p < channels.size(); ++p) {
      const Matrix x = centred(features[p], rows);
      for (size_t q = 0; q < channels.size(); ++q) {
        const Matrix y = centred(features[q], rows);
        CAPTURE(int(metric));
        CAPTURE(p);
        CAPTURE(q);
        const double want =
            metric == kRegression ? regression(x, y, 0.01) : canonical(x, y, metric);
        const PairSimilarity pair = pair_similarity(bases[p], bases[q], options);
        CHECK(pair.forward == doctest::Approx(want).epsilon(1e-5));
        CHECK(all(p, q) == doctest::Approx(p == q ? 1 : want).epsilon(1e-5));
        if (p != q) CHECK(pair.backward == doctest::Approx(all(q, p)).epsilon(1e-9));
        if (metric != kRegression) CHECK(all(p, q) == all(q, p));
      }
    }
  }
}

TEST_CASE("subspaces: regression is directed, row predicts column") {
  test::Random random(2);
  const size_t rows = 50;
  const std::vector<float> wide = test::features(random, rows, 6);
  std::vector<float> part(rows);
  for (size_t r = 0; r < rows; ++r) part[r] = 2 * wide[r * 6] - wide[r * 6 + 3];
  const std::vector<Basis> bases = bases_of({wide, part}, rows, kWhole);
  const Matrix s = subspace_similarity(bases, {.metric = kRegression});
  CHECK(s(0, 1) == doctest::Approx(1).epsilon(1e-4));
  CHECK(s(1, 0) < 0.5);
}

TEST_CASE("subspaces: canonical correlations do not see invertible maps, regression no rotations") {
  test::Random random(4);
  const size_t rows = 80;
  const auto features = positions(rows, {2, 7});
  std::vector<float> turned = features[0], skewed = features[0];
  for (size_t r = 0; r < rows; ++r) {
    const float a = features[0][2 * r], b = features[0][2 * r + 1];
    turned[2 * r] = 7 * (0.6f * a - 0.8f * b) + 100;
    turned[2 * r + 1] = 7 * (0.8f * a + 0.6f * b) - 300;
    skewed[2 * r] = a + 3 * b;
    skewed[2 * r + 1] = 0.1f * b;
  }
  const std::vector<Basis> bases =
      bases_of({features[0], turned, skewed, features[1]}, rows, kWhole);
  const Matrix cca = subspace_similarity(bases, {.metric = kCca});
  for (const size_t p : {1, 2}) {
    CHECK(cca(0, p) == doctest::Approx(1).epsilon(1e-5));
    CHECK(cca(p, 3) == doctest::Approx(cca(0, 3)).epsilon(1e-4));
  }
  for (const SubspaceMetric metric : {kSvcca, kRegression}) {
    const Matrix s = subspace_similarity(bases, {.metric = metric});
    CHECK(s(0, 1) == doctest::Approx(1).epsilon(1e-4));
    CHECK(s(1, 3) == doctest::Approx(s(0, 3)).epsilon(1e-3));
    CHECK(s(3, 1) == doctest::Approx(s(3, 0)).epsilon(1e-3));
  }
}

TEST_CASE("subspaces: more channels than images do not make everything alike") {
  test::Random random(6);
  const size_t rows = 64, channels = 200;
  const std::vector<float> x = test::features(random, rows, channels);
  const std::vector<float> y = test::features(random, rows, channels);
  const std::vector<Basis> whole = bases_of({x, y}, rows, kWhole);
  const Matrix fit = subspace_similarity(whole, {.metric = kRegression});
  CHECK(fit(0, 1) < 0.1);
  CHECK(fit(1, 0) < 0.1);
  // Without a projection canonical correlations of such features are all 1: refused.
  expect_error(ErrorKind::kUsage, "more images",
               [&] { subspace_similarity(whole, {.metric = kCca}); });
  for (const auto method : {Projection::Method::kPrincipal, Projection::Method::kRandom}) {
    const std::vector<Basis> bases = bases_of({x, y}, rows, {.method = method});
    CHECK(bases[0].rank() == rows / 4);
    CHECK(subspace_similarity(bases, {.metric = kCca})(0, 1) < 0.5);
    CHECK(subspace_similarity(bases, {.metric = kRegression})(0, 1) < 0.2);
    // What they have to do with each other is still seen.
    std::vector<float> related(x);
    for (float& v : related) v = 3 * v + 1;
    const std::vector<Basis> same = bases_of({x, related}, rows, {.method = method});
    CHECK(subspace_similarity(same, {.metric = kCca})(0, 1) == doctest::Approx(1).epsilon(1e-3));
    CHECK(subspace_similarity(same, {.metric = kRegression})(0, 1) > 0.99);
  }
}

TEST_CASE("subspaces: a principal projection keeps the strongest directions, also by a sketch") {
  test::Random random(7);
  // 700 channels of a falling spectrum on 400 rows: wide enough for subspace iteration.
  const size_t rows = 400, channels = 700, directions = 120;
  const std::vector<float> latent = test::features(random, rows, directions);
  const std::vector<float> mixing = test::features(random, directions, channels);
  std::vector<float> x = test::features(random, rows, channels);
  for (size_t r = 0; r < rows; ++r) {
    for (size_t c = 0; c < channels; ++c) {
      double sum = 0.1 * x[r * channels + c];
      for (size_t d = 0; d < directions; ++d) {
        sum +=
            4 * std::exp(-0.05 * double(d)) * latent[r * directions + d] * mixing[d * channels + c];
      }
      x[r * channels + c] = float(sum);
    }
  }
  const Basis whole = basis_of(x.data(), rows, channels, 0, kWhole);
  CHECK(whole.rank() == rows - 1);
  CHECK(whole.kept() == doctest::Approx(1).epsilon(1e-6));
  const Basis sketch = basis_of(x.data(), rows, channels, 0, {.dims = 40});
  REQUIRE(sketch.rank() == 40);
  double best = 0;
  for (size_t k = 0; k < 40; ++k) {
    CHECK(sketch.s[k] == doctest::Approx(whole.s[k]).epsilon(1e-4));
    best += whole.s[k] * whole.s[k];
  }
  CHECK(sketch.kept() == doctest::Approx(best).epsilon(1e-5));
  const double alike = pair_similarity(sketch, sketch, {.metric = kCca}).forward;
  CHECK(alike == doctest::Approx(1).epsilon(1e-5));
  const Basis random_one =
      basis_of(x.data(), rows, channels, 0, {.method = Projection::Method::kRandom, .dims = 60});
  CHECK(random_one.rank() == 60);
  CHECK(random_one.kept() == doctest::Approx(1).epsilon(0.3));
  const Basis other_seed = basis_of(x.data(), rows, channels, 0,
                                    {.method = Projection::Method::kRandom, .dims = 60, .seed = 1});
  CHECK(other_seed.u != random_one.u);
}

TEST_CASE("subspaces: constant features, scales, the same bits for any number of threads") {
  const size_t rows = 90;
  auto features = positions(rows, {3, 40, 300, 12});
  features.push_back(std::vector<float>(rows * 2, 0.3f));
  std::vector<float> huge = features[1];
  for (float& v : huge) v *= 1e20f;
  features.push_back(huge);
  const Projection projection{.dims = 10};
  Context& context = Context::current();
  const int before = context.threads();
  for (const SubspaceMetric metric : {kCca, kSvcca, kRegression}) {
    std::vector<Matrix> results;
    for (const int threads : {1, 3}) {
      context.set_threads(threads);
      results.push_back(subspace_similarity(bases_of(features, rows, projection), {metric}));
    }
    CHECK(results[0].values == results[1].values);
    const Matrix& s = results[0];
    for (size_t p = 0; p < features.size(); ++p) {
      CHECK(s(p, p) == 1);
      if (p != 4) CHECK(s(4, p) == 0);
      if (p != 4) CHECK(s(p, 4) == 0);
    }
    CHECK(s(0, 5) == doctest::Approx(s(0, 1)).epsilon(1e-4));
  }
  context.set_threads(before);
}

TEST_CASE("subspaces: misuse and a stop") {
  std::vector<float> x(40, 1.0f);
  expect_error(ErrorKind::kUsage, "5 or more", [&] { basis_of(x.data(), 4, 10, 3, {}); });
  x[7] = NAN;
  expect_error(ErrorKind::kNumeric, "position 3", [&] { basis_of(x.data(), 20, 2, 3, {}); });
  x[7] = 2;
  const Basis a = basis_of(x.data(), 20, 2, 0, {}), b = basis_of(x.data(), 10, 4, 0, {});
  expect_error(ErrorKind::kShape, "20 and 10 rows", [&] { pair_similarity(a, b, {}); });
  const std::vector<Basis> both{a, b};
  expect_error(ErrorKind::kShape, "20 and 10 rows", [&] { subspace_similarity(both, {}); });
  std::stop_source source;
  source.request_stop();
  const Control stopped{.stop = source.get_token()};
  const std::vector<Basis> one{a};
  expect_error(ErrorKind::kInterrupted, "stopped", [&] { subspace_similarity(one, {}, stopped); });
  expect_error(ErrorKind::kInterrupted, "stopped",
               [&] { basis_of(x.data(), 20, 2, 0, {}, stopped); });
}

}  // namespace kintsugi::solvers
