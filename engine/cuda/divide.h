// Division by a number that a launch knows: a product and a shift. Never installed.
#pragma once

#include "kintsugi/engine/cuda/launch.h"

namespace kintsugi::cuda {

// Of n in [0, 2^31) by d in [1, 2^31) (Granlund and Montgomery 1994).
struct Divisor {
  uint32_t d = 1, factor = 1, shift = 0;

  Divisor() = default;
  explicit Divisor(int64_t by) : d(uint32_t(by)) {
    while (shift < 31 && (uint64_t{1} << shift) < d) ++shift;
    factor = uint32_t(((uint64_t{1} << 32) * ((uint64_t{1} << shift) - d)) / d + 1);
  }

  __device__ __forceinline__ uint32_t quotient(uint32_t n) const {
    return (uint32_t(uint64_t(n) * factor >> 32) + n) >> shift;
  }
  // n becomes the rest.
  __device__ __forceinline__ uint32_t split(uint32_t& n) const {
    const uint32_t q = quotient(n);
    n -= q * d;
    return q;
  }
};

}  // namespace kintsugi::cuda
