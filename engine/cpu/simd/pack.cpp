#include "kintsugi/engine/cpu/simd/pack.h"

#include <utility>

#include "kintsugi/engine/cpu/simd/lanes.h"

namespace kintsugi::cpu::KINTSUGI_ISA {

namespace {

// Lanes of a and b alternating: the first half of both, and the second.
template <int... kLane>
inline void riffle(Vec a, Vec b, Vec& low, Vec& high, std::integer_sequence<int, kLane...>) {
  low = __builtin_shufflevector(a, b, (kLane / 2 + (kLane % 2) * kLanes)...);
  high = __builtin_shufflevector(a, b, (kLane / 2 + (kLane % 2) * kLanes + kLanes / 2)...);
}

// A deck of kLanes vectors, riffled log2(kLanes) times, is transposed.
inline void transpose(Vec (&v)[kLanes]) {
#pragma GCC unroll 4
  for (int round = 1; round < kLanes; round *= 2) {
    Vec next[kLanes];
#pragma GCC unroll 8
    for (int i = 0; i < kLanes / 2; ++i) {
      riffle(v[i], v[i + kLanes / 2], next[2 * i], next[2 * i + 1],
             std::make_integer_sequence<int, kLanes>());
    }
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) v[i] = next[i];
  }
}

void pack(const float* matrix, int64_t stride, int64_t rows, int64_t columns, float* panel,
          const int64_t* column_offset) {
  each_vector(columns, [&](const auto& lanes, int64_t j) {
    Vec v[kLanes];
#pragma GCC unroll 16
    for (int r = 0; r < kLanes; ++r) v[r] = r < rows ? lanes.get(matrix + r * stride + j) : Vec{};
    transpose(v);
    if (j + kLanes <= columns) {
#pragma GCC unroll 16
      for (int t = 0; t < kLanes; ++t) store(panel + column_offset[j + t], v[t]);
    } else {
#pragma GCC unroll 16
      for (int t = 0; t < kLanes; ++t) {
        if (j + t < columns) store(panel + column_offset[j + t], v[t]);
      }
    }
  });
}

void unpack(const float* panel, const int64_t* column_offset, int64_t rows, int64_t columns,
            float* matrix, int64_t stride) {
  each_vector(columns, [&](const auto& lanes, int64_t j) {
    Vec v[kLanes];
#pragma GCC unroll 16
    for (int t = 0; t < kLanes; ++t) {
      v[t] = j + t < columns ? load(panel + column_offset[j + t]) : Vec{};
    }
    transpose(v);
#pragma GCC unroll 16
    for (int r = 0; r < kLanes; ++r) {
      if (r < rows) lanes.put(matrix + r * stride + j, v[r]);
    }
  });
}

}  // namespace

extern const PackKernels pack_kernels_table = {kLanes, pack, unpack};

}  // namespace kintsugi::cpu::KINTSUGI_ISA
