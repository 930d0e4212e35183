// Runs the loops of engine/core/loop.h on this machine's threads. Never installed.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "kintsugi/engine/core/loop.h"
#include "kintsugi/engine/cpu/parallel.h"

namespace kintsugi::cpu {

using detail::Loop;
using detail::make_loop;

// body(rows, n, offsets) in parallel: `rows` rows of n elements, rows row_step(k) apart, elements
// inner_step(k) apart, from offset k of operand k.
template <int K, class Body>
void run_loop(const Loop<K>& loop, int64_t grain, const Body& body) {
  const int64_t n = loop.inner(), rows = loop.extent[loop.rank - 2];
  parallel_for(loop.total, grain, [&](int64_t begin, int64_t end) {
    while (begin < end) {
      const int64_t column = begin % n, row = begin / n % rows;
      std::array<int64_t, K> offset{};
      int64_t outer = begin / n / rows;
      for (int d = loop.rank - 3; d >= 0 && outer > 0; --d) {
        const int64_t index = outer % loop.extent[d];
        outer /= loop.extent[d];
        for (int k = 0; k < K; ++k) offset[k] += index * loop.stride[k][d];
      }
      for (int k = 0; k < K; ++k) {
        offset[k] += row * loop.row_step(k) + column * loop.inner_step(k);
      }
      const int64_t left = end - begin;
      if (column != 0 || left < n) {
        const int64_t part = std::min(n - column, left);
        body(int64_t{1}, part, offset);
        begin += part;
      } else {
        const int64_t whole = std::min(rows - row, left / n);
        body(whole, n, offset);
        begin += whole * n;
      }
    }
  });
}

}  // namespace kintsugi::cpu
