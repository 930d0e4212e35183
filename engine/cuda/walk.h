// A loop over several broadcast tensors (engine/core/loop.h) as a kernel takes it. Never installed.
#pragma once

#include "kintsugi/engine/core/loop.h"
#include "kintsugi/engine/cuda/divide.h"

namespace kintsugi::cuda {

template <int K>
struct Walk {
  int rank;
  int64_t total;
  int64_t extent[kMaxRank + 2];
  int64_t stride[K][kMaxRank + 2];
  Divisor by[kMaxRank + 2];  // of the extents, where the total is below 2^31

  explicit Walk(const std::array<const Tensor*, K>& tensors) {
    const detail::Loop<K> loop = detail::make_loop<K>(tensors);
    rank = loop.rank;
    total = loop.total;
    for (int d = 0; d < rank; ++d) {
      extent[d] = loop.extent[size_t(d)];
      for (int k = 0; k < K; ++k) stride[k][d] = loop.stride[size_t(k)][size_t(d)];
      if (is_small()) by[d] = Divisor(std::max<int64_t>(1, extent[d]));
    }
  }

  __host__ __device__ bool is_small() const { return total < int64_t{1} << 31; }

  // Whether runs of `width` elements, a multiple of them in a row, are neighbours in the first
  // operand and neighbours or one element repeated in the others.
  bool in_groups(int width) const {
    const int inner = rank - 1;
    if (extent[inner] % width != 0) return false;
    for (int k = 0; k < K; ++k) {
      if (k > 0 && stride[k][inner] == 0) continue;
      if (stride[k][inner] != 1) return false;
      for (int d = 0; d < inner; ++d) {
        if (stride[k][d] % width != 0) return false;
      }
    }
    return true;
  }

  // Where element i of the first operand's order lies in each operand.
  __device__ __forceinline__ void at(int64_t i, int64_t (&offset)[K]) const {
    for (int k = 0; k < K; ++k) offset[k] = 0;
    for (int d = rank - 1; d > 0; --d) {
      if (d == 1 && extent[0] == 1) {
        for (int k = 0; k < K; ++k) offset[k] += i * stride[k][1];
        return;
      }
      const int64_t outer = is_small() ? by[d].quotient(uint32_t(i)) : i / extent[d];
      const int64_t index = i - outer * extent[d];
      for (int k = 0; k < K; ++k) offset[k] += index * stride[k][d];
      i = outer;
    }
    for (int k = 0; k < K; ++k) offset[k] += i * stride[k][0];
  }
};

}  // namespace kintsugi::cuda
