// Rows of neighbouring elements in groups of N: a row is shared by a few lanes of a warp or by
// whole warps, and is read from memory once: what is needed again waits in registers. Never
// installed.
#pragma once

#include "kintsugi/engine/cuda/block.h"
#include "kintsugi/engine/cuda/vector.h"

namespace kintsugi::cuda {

// Groups of a row that a thread holds, of one tensor or of each of two.
template <int N>
inline constexpr int kHeld = std::min(8, 32 / N);
template <int N>
inline constexpr int kHeldOfTwo = std::min(8, 16 / N);

struct Rows {
  static constexpr size_t kScratch = 32 * sizeof(double);  // of row_reduce

  int64_t rows, n;  // n groups a row
  int lanes;        // threads of a row: a power of two up to 32, or whole warps
  int threads;      // of a block

  // A thread holds `most` groups; rows that are longer than a block holds are read again.
  Rows(int64_t rows, int64_t n, int most) : rows(rows), n(n), lanes(1) {
    while (lanes < 32 && (lanes * most < n || (lanes < 8 && lanes < n))) lanes *= 2;
    const int64_t warps = (n + most * 32 - 1) / (most * 32);
    if (warps > 1) lanes = 32 * int(std::min<int64_t>(warps, kThreads / 32));
    threads = kThreads / lanes * lanes;
  }
  unsigned blocks(int64_t most = kMaxBlocks) const {
    return unsigned(std::min<int64_t>(most, blocks_for(rows, threads / lanes)));
  }

  __device__ __forceinline__ int groups() const { return int(blockDim.x) / lanes; }
  __device__ __forceinline__ int group() const { return int(threadIdx.x) / lanes; }
  __device__ __forceinline__ int lane() const { return int(threadIdx.x) % lanes; }

  // f(k, i) with the K groups i of this thread from `from` on that are below `end`.
  template <int K, class F>
  __device__ __forceinline__ void each(int64_t from, int64_t end, const F& f) const {
    KINTSUGI_UNROLL
    for (int k = 0; k < K; ++k) {
      const int64_t i = from + k * lanes;
      if (i < end) f(k, i);
    }
  }
};

// Over the `lanes` threads of a row, as in Rows; every thread of the block calls it.
template <class T, class Op>
__device__ __forceinline__ T row_reduce(T value, Op op, int lanes) {
  KINTSUGI_UNROLL
  for (int bits = 16; bits > 0; bits /= 2) {
    if (bits < lanes) value = op(value, __shfl_xor_sync(kAllLanes, value, bits));
  }
  if (lanes <= 32) return value;
  T* shared = dynamic_shared<T>();
  const int warp = int(threadIdx.x) / 32, warps = lanes / 32, first = warp / warps * warps;
  __syncthreads();  // `shared` may still be read from the last call
  if (threadIdx.x % 32 == 0) shared[warp] = value;
  __syncthreads();
  value = shared[first];
  for (int w = 1; w < warps; ++w) value = op(value, shared[first + w]);
  return value;
}
template <class T>
__device__ __forceinline__ T row_sum(T value, int lanes) {
  return row_reduce(value, Plus(), lanes);
}

}  // namespace kintsugi::cuda
