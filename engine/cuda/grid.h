// Channels-last grids (N,H,W,C in memory) in kernels that give each block a row of the result and
// each thread a few channels of a cell: 4 where the channels allow it, else 1. Never installed.
#pragma once

#include "kintsugi/engine/cuda/vector.h"

namespace kintsugi::cuda {

template <int kWidth, class T>
__device__ __forceinline__ void load(const T* from, T (&to)[kWidth]) {
  static_assert(sizeof(T) == 4 && (kWidth == 1 || kWidth == 4));
  if constexpr (kWidth == 4) {
    struct alignas(16) Four {
      T v[4];
    };
    const Four four = *reinterpret_cast<const Four*>(from);
    for (int k = 0; k < 4; ++k) to[k] = four.v[k];
  } else {
    to[0] = *from;
  }
}

template <int kWidth, class T>
__device__ __forceinline__ void store(T* to, const T (&from)[kWidth]) {
  static_assert(sizeof(T) == 4 && (kWidth == 1 || kWidth == 4));
  if constexpr (kWidth == 4) {
    struct alignas(16) Four {
      T v[4];
    };
    *reinterpret_cast<Four*>(to) = {{from[0], from[1], from[2], from[3]}};
  } else {
    *to = from[0];
  }
}

inline bool is_aligned(const void* at) {
  return reinterpret_cast<uintptr_t>(at) % 16 == 0;
}

// Whether rows of `channels` floats or integers at these addresses are whole groups of 4.
template <class... Pointers>
bool in_fours(int64_t channels, const Pointers*... at) {
  return channels % 4 == 0 && (is_aligned(at) && ...);
}

// Threads of a block that walks over `items` of a row: whole warps, no more idle than need be.
inline unsigned threads_for_row(int64_t items) {
  const int64_t steps = (items + kThreads - 1) / kThreads;
  return unsigned(std::max<int64_t>(32, ((items + steps - 1) / steps + 31) / 32 * 32));
}

// The most cells or taps along an axis that kernels count in 32 bits, products of two sums aside.
inline constexpr int64_t kMaxExtent = 1 << 29;

}  // namespace kintsugi::cuda
