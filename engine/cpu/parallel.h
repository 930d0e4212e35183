// Loops over the context's threads. The split depends only on the sizes and the thread count, so the
// same number of threads gives the same bits. Never installed.
#pragma once

#include <algorithm>
#include <cstdint>
#include <exception>

#include "kintsugi/engine/core/context.h"

namespace kintsugi::cpu {

// body(begin, end) over [0, n) in one contiguous range a thread; fewer threads where a range would be
// shorter than `grain`. The body may not throw.
template <class Body>
void parallel_for(int64_t n, int64_t grain, const Body& body) {
  if (n <= 0) return;
  const int64_t wanted = std::max<int64_t>(1, n / std::max<int64_t>(1, grain));
  const int threads = int(std::min<int64_t>(wanted, Context::current().threads()));
  if (threads == 1) {
    body(int64_t{0}, n);
    return;
  }
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int t = 0; t < threads; ++t) body(n * t / threads, n * (t + 1) / threads);
}

}  // namespace kintsugi::cpu
