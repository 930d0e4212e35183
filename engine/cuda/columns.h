// A block's threads over rows of neighbouring columns: a thread keeps its column, takes every
// `rows`th row, and reads of a block are whole runs of memory. Never installed.
#pragma once

#include "kintsugi/engine/cuda/launch.h"

namespace kintsugi::cuda {

struct Columns {
  int width;      // columns of a block
  int rows;       // rows side by side in a block
  int threads;    // of a block, a multiple of 32; those from width * rows on are idle
  int64_t tiles;  // blocks that cover all columns

  Columns(int64_t columns, int64_t widest = kThreads) {
    tiles = std::max<int64_t>(1, (columns + widest - 1) / widest);
    width = int(std::max<int64_t>(1, (columns + tiles - 1) / tiles));
    rows = std::max(1, kThreads / width);
    threads = (width * rows + 31) / 32 * 32;
  }
  __device__ __forceinline__ int column() const { return int(threadIdx.x) % width; }
  __device__ __forceinline__ int row() const { return int(threadIdx.x) / width; }
};

// Ranges of `count` for `others` blocks each, so that the device is busy and no thread has fewer
// than about `least` elements.
inline int64_t parts_for(int64_t count, int64_t per_step, int64_t others, int64_t least = 8) {
  constexpr int64_t kBusy = 2048;  // blocks
  const int64_t most = std::max<int64_t>(1, count / (per_step * least));
  return std::clamp<int64_t>(kBusy / std::max<int64_t>(1, others), 1, most);
}

// Adds the rows' values up, in one order for any launch: merge(to, from) are rows of the block.
template <class Merge>
__device__ __forceinline__ void merge_rows(int row, int rows, const Merge& merge) {
  for (int n = rows; n > 1;) {
    const int half = (n + 1) / 2;
    __syncthreads();
    if (row + half < n) merge(row, row + half);
    n = half;
  }
}

}  // namespace kintsugi::cuda
