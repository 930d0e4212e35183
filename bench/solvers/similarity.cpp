#include "kintsugi/solvers/similarity.h"

#include <sys/resource.h>

#include <chrono>
#include <cmath>

#include "bench/solvers/solvers.h"
#include "kintsugi/apps/text.h"
#include "kintsugi/engine/core/context.h"
#include "kintsugi/engine/core/error.h"
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

// <K,L> / (|K| |L|) of doubly centred Grams, in double.
double cka_by_definition(const std::vector<float>& x, const std::vector<float>& y, size_t n) {
  const auto gram = [n](const std::vector<float>& z) {
    const size_t dim = z.size() / n;
    std::vector<double> g(n * n), row(n);
    double all = 0;
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = 0; j < n; ++j) {
        double dot = 0;
        for (size_t c = 0; c < dim; ++c) dot += double(z[i * dim + c]) * z[j * dim + c];
        g[i * n + j] = dot;
        row[i] += dot / double(n);
      }
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

}  // namespace

void bench_similarity(std::ostream& out, const CkaBenchOptions& options) {
  using Clock = std::chrono::steady_clock;
  const size_t batch = size_t(options.batch_size);
  Random random(1);
  // One pool of noise; a position's features of a batch are a window of it.
  const size_t widest = 3712, slack = 4096;
  const std::vector<float> pool = features(random, 1, batch * widest + slack);
  const auto window = [&](size_t position, size_t done) {
    return pool.data() + (position * 977 + done * 131) % slack;
  };
  const double before = peak_megabytes();
  solvers::StreamingCka cka(kPositions);
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
    products += std::chrono::duration<double>(Clock::now() - middle).count();
    if (batches > 1) continue;  // the definition is slow: two batches are checked
    for (size_t i = 0; i < kChecked; ++i) {
      for (size_t j = 0; j < i; ++j) {
        const auto of = [&](size_t p) {
          const float* first = window(p, done);
          return std::vector<float>(first, first + n * kChannels[p]);
        };
        expected(i, j) += cka_by_definition(of(i), of(j), n);
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
  out << "CKA of " << kPositions << " positions, " << options.images << " images in batches of "
      << batch << ", " << Context::current().threads()
      << " threads: " << apps::fixed(grams + products, 1) << " s (Grams " << apps::fixed(grams, 1)
      << ", products " << apps::fixed(products, 1) << "); the estimator holds "
      << apps::fixed(double(cka.bytes()) / (1 << 20), 0)
      << " MB, the process grew by " << apps::fixed(peak_megabytes() - before, 0)
      << " MB\n";
}

}  // namespace kintsugi::bench
