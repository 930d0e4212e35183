// Micro-benchmarks: one function a family, listed by `kintsugi-bench`. Each verifies its results.
#pragma once

#include <algorithm>
#include <chrono>
#include <functional>
#include <ostream>
#include <string>
#include <vector>

namespace kintsugi::bench {

struct BenchOptions {
  int threads = 0;           // 0: the context's
  double min_seconds = 0.2;  // measured for each row
  std::string filter;        // only rows whose name contains it
};

void bench_conv(std::ostream& out, const BenchOptions& options);

// The best seconds of each candidate, run in turns so that a noisy machine is noisy to all of them
// alike: at least 3 turns, and until `seconds` have passed. The first turn warms up.
inline std::vector<double> best_of(double seconds,
                                   const std::vector<std::function<void()>>& candidates) {
  using Clock = std::chrono::steady_clock;
  std::vector<double> best(candidates.size(), 1e30);
  for (const auto& run : candidates) run();
  const auto start = Clock::now();
  for (int turn = 0;
       turn < 3 || std::chrono::duration<double>(Clock::now() - start).count() < seconds; ++turn) {
    for (size_t i = 0; i < candidates.size(); ++i) {
      const auto begin = Clock::now();
      candidates[i]();
      best[i] = std::min(best[i], std::chrono::duration<double>(Clock::now() - begin).count());
    }
  }
  return best;
}

}  // namespace kintsugi::bench
