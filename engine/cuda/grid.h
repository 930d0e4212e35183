// Channels-last grids (N,H,W,C in memory) in kernels that give each block a row of the result and
// each thread a few channels of a cell. Never installed.
#pragma once

#include "kintsugi/engine/cuda/vector.h"

namespace kintsugi::cuda {

// Threads of a block that walks over `items` of a row: whole warps, no more idle than need be.
inline unsigned threads_for_row(int64_t items) {
  const int64_t steps = (items + kThreads - 1) / kThreads;
  return unsigned(std::max<int64_t>(32, ((items + steps - 1) / steps + 31) / 32 * 32));
}

// The most cells or taps along an axis that kernels count in 32 bits, products of two sums aside.
inline constexpr int64_t kMaxExtent = 1 << 29;

}  // namespace kintsugi::cuda
