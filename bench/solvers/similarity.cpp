#include "kintsugi/solvers/similarity.h"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "bench/solvers/solvers.h"
#include "kintsugi/apps/text.h"
#include "kintsugi/engine/core/context.h"
#include "kintsugi/engine/core/error.h"
#include "kintsugi/solvers/least_squares.h"
#include "kintsugi/solvers/subspaces.h"
#include "tests/support/synthetic.h"

namespace kintsugi::bench {

namespace {

using solvers::test::features;
using solvers::test::Random;

// Channels at the positions of such a zoo: ResNets, RegNets, ViTs, Swins, MobileNets.
constexpr size_t kChannels[] = {64,  256, 512,  1024, 2048, 192, 384, 768,
                                224, 448, 1232, 3024, 3712, 96,  320, 1280};
constexpr size_t kPositions = 434;
constexpr size_t kChecked = 4;  // the first positions, compared with the definition

// Inner products to exp(-d^2 / (2 median)).
void make_rbf(std::vector<double>& g, size_t n) {
  std::vector<double> apart(n * n);
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < n; ++j) {
      apart[i * n + j] = g[i * n + i] + g[j * n + j] - 2 * g[i * n + j];
    }
  }
  std::vector<double> sorted = apart;
  std::sort(sorted.begin(), sorted.end());
  const double median = (sorted[(n * n - 1) / 2] + sorted[n * n / 2]) / 2;
  for (size_t i = 0; i < n * n; ++i) g[i] = std::exp(-apart[i] / (2 * median));
}

// <K,L> / (|K| |L|) of doubly centred Grams, in double.
double cka_by_definition(const std::vector<float>& x, const std::vector<float>& y, size_t n,
                         solvers::CkaKernel kernel) {
  const auto gram = [n, kernel](const std::vector<float>& z) {
    const size_t dim = z.size() / n;
    std::vector<double> g(n * n), row(n);
    double all = 0;
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = 0; j < n; ++j) {
        double dot = 0;
        for (size_t c = 0; c < dim; ++c) dot += double(z[i * dim + c]) * z[j * dim + c];
        g[i * n + j] = dot;
      }
    }
    if (kernel == solvers::CkaKernel::kRbf) make_rbf(g, n);
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = 0; j < n; ++j) row[i] += g[i * n + j] / double(n);
      all += row[i] / double(n);
    }
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = 0; j < n; ++j) g[i * n + j] += all - row[i] - row[j];
    }
    return g;
  };
  const std::vector<double> k = gram(x), l = gram(y);
  double both = 0, kk = 0, ll = 0;
  for (size_t i = 0; i < k.size(); ++i) {
    both += k[i] * l[i];
    kk += k[i] * k[i];
    ll += l[i] * l[i];
  }
  return both / std::sqrt(kk * ll);
}

double peak_megabytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return double(usage.ru_maxrss) / 1024;
}

using Clock = std::chrono::steady_clock;

double since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void bench_cka(std::ostream& out, const SimilarityBenchOptions& options,
               const solvers::CkaOptions& cka_options) {
  const size_t batch = size_t(options.batch_size);
  Random random(1);
  // One pool of noise; a position's features of a batch are a window of it.
  const size_t widest = 3712, slack = 4096;
  const std::vector<float> pool = features(random, 1, batch * widest + slack);
  const auto window = [&](size_t position, size_t done) {
    return pool.data() + (position * 977 + done * 131) % slack;
  };
  const double before = peak_megabytes();
  solvers::StreamingCka cka(kPositions, cka_options);
  const bool checked = cka_options.estimator == solvers::CkaEstimator::kBiased;
  double grams = 0, products = 0;
  solvers::Matrix expected(kChecked, kChecked);
  size_t batches = 0;
  for (size_t done = 0; done < size_t(options.images); done += batch, ++batches) {
    const size_t n = std::min(batch, size_t(options.images) - done);
    const auto start = Clock::now();
    cka.begin_batch(n);
    for (size_t p = 0; p < kPositions; ++p) {
      cka.add(p, window(p, done), n, kChannels[p % std::size(kChannels)]);
    }
    const auto middle = Clock::now();
    cka.end_batch();
    grams += std::chrono::duration<double>(middle - start).count();
    products += since(middle);
    if (batches > 1 || !checked) continue;  // the definition is slow: two batches are checked
    for (size_t i = 0; i < kChecked; ++i) {
      for (size_t j = 0; j < i; ++j) {
        const auto of = [&](size_t p) {
          const float* first = window(p, done);
          return std::vector<float>(first, first + n * kChannels[p]);
        };
        expected(i, j) += cka_by_definition(of(i), of(j), n, cka_options.kernel);
      }
    }
    if (batches == 1) {
      const solvers::Matrix got = cka.similarity();
      for (size_t i = 0; i < kChecked; ++i) {
        for (size_t j = 0; j < i; ++j) {
          if (std::abs(got(i, j) - expected(i, j) / 2) > 1e-5) {
            fail(ErrorKind::kNumeric, "bench similarity: pair ", i, ",", j, " is ", got(i, j),
                 ", expected ", expected(i, j) / 2);
          }
        }
      }
    }
  }
  out << options.metric << " of " << kPositions << " positions, " << options.images
      << " images in batches of " << batch << ", " << Context::current().threads()
      << " threads: " << apps::fixed(grams + products, 1) << " s (Grams " << apps::fixed(grams, 1)
      << ", products " << apps::fixed(products, 1) << "); the estimator holds "
      << apps::fixed(double(cka.bytes()) / (1 << 20), 0) << " MB, the process grew by "
      << apps::fixed(peak_megabytes() - before, 0) << " MB\n";
}

// A pair by streamed normal equations, which share nothing with bases but the data.
double by_definition(const std::vector<float>& x, const std::vector<float>& y, size_t rows,
                     solvers::SubspaceMetric metric, double ridge) {
  const size_t p = x.size() / rows, q = y.size() / rows;
  solvers::LeastSquares forward(p, q);
  forward.add(x.data(), y.data(), rows);
  const solvers::LeastSquaresFit to = forward.solve(ridge);
  if (metric == solvers::SubspaceMetric::kLinearRegression) {
    const double n = double(rows - 1);
    return 1 - (1 - to.r2) * n / (n - double(p));
  }
  solvers::LeastSquares backward(q, p);
  backward.add(y.data(), x.data(), rows);
  const solvers::LeastSquaresFit back = backward.solve(ridge);
  double trace = 0;  // of Sxx^-1 Sxy Syy^-1 Syx: the squared canonical correlations
  for (size_t i = 0; i < p; ++i) {
    for (size_t j = 0; j < q; ++j) trace += to.weight(j, i) * back.weight(i, j);
  }
  return trace / double(std::min(p, q));
}

void bench_subspaces(std::ostream& out, const SimilarityBenchOptions& options,
                     solvers::SubspaceMetric metric) {
  const auto rows = size_t(options.images);
  Random random(1);
  constexpr size_t kLatent = 64;
  const std::vector<float> latent = features(random, rows, kLatent);
  const std::vector<float> pool = features(random, 1, (size_t{1} << 22) + 4096);
  // Latent directions of falling strength, shared by all positions, and noise.
  const auto position = [&](size_t p) {
    const size_t channels = kChannels[p % std::size(kChannels)];
    std::vector<float> x(rows * channels);
    for (size_t r = 0; r < rows; ++r) {
      for (size_t c = 0; c < channels; ++c) {
        const size_t l = (c * 31 + p) % kLatent;
        const float noise = pool[(r * channels + c + p * 977) % (size_t{1} << 22)];
        x[r * channels + c] = latent[r * kLatent + l] / float(1 + l % 8) + 0.5f * noise;
      }
    }
    return x;
  };
  const solvers::Projection projection{.method = options.projection == "random"
                                                     ? solvers::Projection::Method::kRandom
                                                     : solvers::Projection::Method::kPrincipal,
                                       .dims = size_t(options.dims)};
  const solvers::SubspaceOptions subspace{.metric = metric};
  const double before = peak_megabytes();
  double making = 0;
  size_t held = 0;
  std::vector<solvers::Basis> bases;
  for (size_t p = 0; p < kPositions; ++p) {
    const std::vector<float> x = position(p);
    const auto start = Clock::now();
    bases.push_back(solvers::basis_of(x.data(), rows, x.size() / rows, p, projection));
    making += since(start);
    held += bases.back().u.size() * sizeof(float);
  }
  const auto start = Clock::now();
  const solvers::Matrix got = solvers::subspace_similarity(bases, subspace);
  const double pairs = since(start);
  // Positions 0, 5 and 13 have 64, 192 and 96 channels: the projection leaves them as they are.
  double worst = 0;
  for (const auto& [i, j] : {std::pair<size_t, size_t>{0, 5}, {5, 0}, {5, 13}}) {
    if (metric == solvers::SubspaceMetric::kSvcca || options.dims < 192 || rows < 4 * 192) break;
    const double want = by_definition(position(i), position(j), rows, metric, subspace.ridge);
    worst = std::max(worst, std::abs(got(i, j) - want));
  }
  if (worst > 1e-4) {
    fail(ErrorKind::kNumeric, "bench similarity: a pair is ", worst, " off its definition");
  }
  out << options.metric << " of " << kPositions << " positions, " << rows << " images, "
      << options.projection << " projection to " << options.dims << ", "
      << Context::current().threads() << " threads: " << apps::fixed(making + pairs, 1)
      << " s (bases " << apps::fixed(making, 1) << ", pairs " << apps::fixed(pairs, 1)
      << "); the bases hold " << apps::fixed(double(held) / (1 << 20), 0)
      << " MB, the process grew by " << apps::fixed(peak_megabytes() - before, 0) << " MB\n";
}

}  // namespace

void bench_similarity(std::ostream& out, const SimilarityBenchOptions& options) {
  using solvers::CkaEstimator, solvers::CkaKernel, solvers::SubspaceMetric;
  const std::string& metric = options.metric;
  if (metric.ends_with("cka") || metric.ends_with("unbiased")) {
    bench_cka(out, options,
              {metric == "linear-cka-unbiased" ? CkaEstimator::kUnbiased : CkaEstimator::kBiased,
               metric == "rbf-cka" ? CkaKernel::kRbf : CkaKernel::kLinear});
  } else {
    bench_subspaces(out, options,
                    metric == "cca"     ? SubspaceMetric::kCca
                    : metric == "svcca" ? SubspaceMetric::kSvcca
                                        : SubspaceMetric::kLinearRegression);
  }
}

}  // namespace kintsugi::bench
