// Random choices of the data path: pure functions of (seed, stream, number).
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "kintsugi/engine/core/random.h"

namespace kintsugi::zoo {

// What a draw is for: the highest bits of its counter, so that no two uses share numbers.
enum DrawStream : uint32_t {
  kOrderStream = 1,
  kAugmentStream = 2,
  kSubsetStream = 3,
  kEraseStream = 4
};

// Block `number` of a stream in an epoch: four independent words.
inline std::array<uint32_t, 4> draw(uint64_t seed, DrawStream stream, uint64_t number,
                                    uint64_t epoch = 0, uint32_t part = 0) {
  return philox4x32(
      {uint32_t(number), uint32_t(number >> 32), uint32_t(epoch), uint32_t(stream) << 24 | part},
      {uint32_t(seed), uint32_t(seed >> 32)});
}

// 0 <= result < range, from 64 random bits: the bias is under range / 2^64.
inline uint64_t below(uint64_t range, uint32_t high, uint32_t low) {
  const auto bits = static_cast<unsigned __int128>(uint64_t(high) << 32 | low);
  return static_cast<uint64_t>(bits * range >> 64);
}

// A random permutation of 0..size-1 (Fisher-Yates).
inline std::vector<int64_t> shuffled(int64_t size, uint64_t seed, DrawStream stream,
                                     uint64_t epoch = 0) {
  std::vector<int64_t> order(static_cast<size_t>(size));
  std::iota(order.begin(), order.end(), 0);
  for (int64_t i = size - 1; i > 0; --i) {
    const auto bits = draw(seed, stream, static_cast<uint64_t>(i), epoch);
    std::swap(order[size_t(i)], order[below(uint64_t(i) + 1, bits[0], bits[1])]);
  }
  return order;
}

}  // namespace kintsugi::zoo
