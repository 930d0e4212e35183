// Ranges that know their worker, for loops with a scratch or a partial sum each. Never installed.
#pragma once

#include "kintsugi/engine/cpu/parallel.h"

namespace kintsugi::cpu {

// How many workers n items are worth, each taking at least `grain`.
inline int workers_for(int64_t n, int64_t grain) {
  const int64_t wanted = std::max<int64_t>(1, n / std::max<int64_t>(1, grain));
  return int(std::min<int64_t>(wanted, Context::current().threads()));
}

// body(worker, begin, end) over [0, n) in one contiguous range a worker. The body may not throw.
template <class Body>
void for_workers(int workers, int64_t n, const Body& body) {
  parallel_for(workers, 1, [&](int64_t first, int64_t last) {
    for (int64_t w = first; w < last; ++w) {
      body(int(w), n * w / workers, n * (w + 1) / workers);
    }
  });
}

}  // namespace kintsugi::cpu
