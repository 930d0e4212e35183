// Rows of neighbouring elements: a row is shared by a few lanes of a warp, by a warp or by a block,
// and is read from memory once: what is needed again waits in shared memory. Never installed.
#pragma once

#include "kintsugi/engine/cuda/block.h"
#include "kintsugi/engine/cuda/vector.h"

namespace kintsugi::cuda {

// Whether all begin where Floats<4> may; an absent tensor does.
template <class... Pointers>
bool in_fours(Pointers... pointers) {
  return ((reinterpret_cast<uintptr_t>(pointers) % 16 == 0) && ...);
}

template <class F>
void visit_width(bool fours, const F& f) {
  if (fours)
    f(std::integral_constant<int, 4>());
  else
    f(std::integral_constant<int, 1>());
}

struct Rows {
  static constexpr size_t kScratch = 32 * sizeof(double);  // of row_reduce
  static constexpr size_t kMaxShared = 96 << 10;

  int64_t rows, n;  // n elements a row
  int lanes;        // threads of a row: a power of two up to 32, or the whole block
  int threads;      // of a block
  bool held;        // whether the copies fit
  size_t shared;    // bytes

  // `copies`: how many rows of `bytes` an element a row needs in shared memory.
  Rows(int64_t rows, int64_t n, size_t bytes, int copies) : rows(rows), n(n), lanes(1) {
    const size_t row = size_t(copies) * size_t(n) * bytes;
    while (lanes < 32 && (lanes < n / 8 || (lanes < 8 && lanes < n))) lanes *= 2;
    // A block a row where a warp would go round often, or where few warps' copies would fit.
    if (n > 16 * 32 || 4 * row > kMaxShared - kScratch) lanes = kThreads;
    const size_t room = (kMaxShared - kScratch) / std::max<size_t>(1, row);
    const int groups = int(std::min<size_t>(size_t(kThreads / lanes), room));
    held = groups > 0;
    threads = lanes == kThreads ? kThreads : std::max(32, groups * lanes / 32 * 32);
    shared = kScratch + (held ? size_t(threads / lanes) * row : 0);
  }
  unsigned blocks(int64_t most = kMaxBlocks) const {
    return unsigned(std::min<int64_t>(most, blocks_for(rows, threads / lanes)));
  }

  __device__ __forceinline__ int groups() const { return int(blockDim.x) / lanes; }
  __device__ __forceinline__ int group() const { return int(threadIdx.x) / lanes; }
  __device__ __forceinline__ int lane() const { return int(threadIdx.x) % lanes; }
  // The copies of this thread's row.
  template <class V>
  __device__ __forceinline__ V* copy(int number, int copies) const {
    unsigned char* first = dynamic_shared<unsigned char>() + kScratch;
    return reinterpret_cast<V*>(first) + (int64_t(group()) * copies + number) * n;
  }
};

// Over the `lanes` threads of a row; every thread of the block calls it.
template <class T, class Op>
__device__ __forceinline__ T row_reduce(T value, Op op, T none, int lanes) {
  if (lanes > 32) return block_reduce(value, op, none, dynamic_shared<T>());
  for (int bits = lanes / 2; bits > 0; bits /= 2) {
    value = op(value, __shfl_xor_sync(kAllLanes, value, bits));
  }
  return value;
}
template <class T>
__device__ __forceinline__ T row_sum(T value, int lanes) {
  return row_reduce(value, Plus(), T(0), lanes);
}

}  // namespace kintsugi::cuda
