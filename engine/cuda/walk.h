// A loop over several broadcast tensors (engine/core/loop.h) as a kernel takes it. Never installed.
#pragma once

#include "kintsugi/engine/core/loop.h"
#include "kintsugi/engine/cuda/launch.h"

namespace kintsugi::cuda {

template <int K>
struct Walk {
  int rank;
  int64_t total;
  int64_t extent[kMaxRank + 2];
  int64_t stride[K][kMaxRank + 2];

  explicit Walk(const std::array<const Tensor*, K>& tensors) {
    const detail::Loop<K> loop = detail::make_loop<K>(tensors);
    rank = loop.rank;
    total = loop.total;
    for (int d = 0; d < rank; ++d) {
      extent[d] = loop.extent[size_t(d)];
      for (int k = 0; k < K; ++k) stride[k][d] = loop.stride[size_t(k)][size_t(d)];
    }
  }

  // One row in which every operand is contiguous.
  bool is_flat() const {
    if (rank != 2 || extent[0] != 1) return false;
    for (int k = 0; k < K; ++k) {
      if (stride[k][1] != 1 && extent[1] != 1) return false;
    }
    return true;
  }

  // Where element i of the first operand's order lies in each operand.
  __device__ __forceinline__ void at(int64_t i, int64_t (&offset)[K]) const {
    for (int k = 0; k < K; ++k) offset[k] = 0;
    for (int d = rank - 1; d > 0; --d) {
      const int64_t outer = i / extent[d], index = i - outer * extent[d];
      for (int k = 0; k < K; ++k) offset[k] += index * stride[k][d];
      i = outer;
    }
    for (int k = 0; k < K; ++k) offset[k] += i * stride[k][0];
  }
};

}  // namespace kintsugi::cuda
