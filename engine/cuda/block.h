// Sums and maxima over a block, in one fixed order. Every thread of the block calls them and gets the
// result. They use 32 elements of the shared memory given. Never installed.
#pragma once

#include "kintsugi/engine/cuda/launch.h"

namespace kintsugi::cuda {

inline constexpr unsigned kAllLanes = 0xffffffffu;

struct Plus {
  template <class T>
  __device__ __forceinline__ T operator()(T a, T b) const {
    return a + b;
  }
};
// NaN where one is.
struct Largest {
  template <class T>
  __device__ __forceinline__ T operator()(T a, T b) const {
    return a != a ? a : b != b ? b : a > b ? a : b;
  }
};
struct Smallest {
  template <class T>
  __device__ __forceinline__ T operator()(T a, T b) const {
    return a != a ? a : b != b ? b : a < b ? a : b;
  }
};

template <class T, class Op>
__device__ __forceinline__ T warp_reduce(T value, Op op) {
  for (int bits = 16; bits > 0; bits /= 2) {
    value = op(value, __shfl_xor_sync(kAllLanes, value, bits));
  }
  return value;
}

// blockDim.x is a multiple of 32; `none` changes nothing.
template <class T, class Op>
__device__ __forceinline__ T block_reduce(T value, Op op, T none, T* shared) {
  const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32;
  value = warp_reduce(value, op);
  __syncthreads();  // `shared` may still be read from the last call
  if (lane == 0) shared[warp] = value;
  __syncthreads();
  value = lane < int(blockDim.x) / 32 ? shared[lane] : none;
  return warp_reduce(value, op);
}

template <class T>
__device__ __forceinline__ T block_sum(T value, T* shared) {
  return block_reduce(value, Plus(), T(0), shared);
}

}  // namespace kintsugi::cuda
