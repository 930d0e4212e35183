// The register tile under every product of our own: c (m,n) = a (m,k) * b (k,n). For files in this
// folder only.
#pragma once

#include "kintsugi/engine/cpu/simd/lanes.h"

namespace kintsugi::cpu::KINTSUGI_ISA {

// Accumulators, a row of b and a broadcast of a fill the registers: 32 of AVX-512, 16 before.
inline constexpr int kTileRows = kLanes == 16 ? 6 : 4;
inline constexpr int kTileVecs = kLanes == 16 ? 4 : 2;
inline constexpr int64_t kPanel = kTileVecs * kLanes;  // columns of one tile

struct TileOperands {
  const float* a;  // (m,k), any strides
  int64_t a_row, a_column;
  const float* b;  // (k,n), rows readable up to whole vectors
  int64_t b_row;
  float* c;  // (m,n)
  int64_t c_row;
  int64_t k;
  bool accumulate;  // c += instead of c =
};

// `last` columns of the last vector are c's.
template <int kRows, int kVecs>
static inline void tile(const TileOperands& t, int64_t last) {
  Vec acc[kRows][kVecs] = {};
  const float *a = t.a, *b = t.b;
  for (int64_t p = 0; p < t.k; ++p, a += t.a_column, b += t.b_row) {
    Vec row[kVecs];
#pragma GCC unroll 4
    for (int j = 0; j < kVecs; ++j) row[j] = load(b + j * kLanes);
#pragma GCC unroll 6
    for (int i = 0; i < kRows; ++i) {
      const Vec x = splat(a[i * t.a_row]);
#pragma GCC unroll 4
      for (int j = 0; j < kVecs; ++j) acc[i][j] += x * row[j];
    }
  }
#pragma GCC unroll 6
  for (int i = 0; i < kRows; ++i) {
    float* c = t.c + i * t.c_row;
#pragma GCC unroll 4
    for (int j = 0; j < kVecs; ++j) {
      float* at = c + j * kLanes;
      if (j + 1 < kVecs || last == kLanes) {
        store(at, t.accumulate ? acc[i][j] + load(at) : acc[i][j]);
      } else {
        const Part part(last);
        part.put(at, t.accumulate ? acc[i][j] + part.get(at) : acc[i][j]);
      }
    }
  }
}

template <int kVecs>
static inline void tile_column(TileOperands t, int64_t m, int64_t last) {
  for (; m >= kTileRows; m -= kTileRows) {
    tile<kTileRows, kVecs>(t, last);
    t.a += kTileRows * t.a_row;
    t.c += kTileRows * t.c_row;
  }
  switch (m) {
    case 1:
      return tile<1, kVecs>(t, last);
    case 2:
      return tile<2, kVecs>(t, last);
    case 3:
      return tile<3, kVecs>(t, last);
    case 4:
      return tile<4, kVecs>(t, last);
    case 5:
      return tile<5, kVecs>(t, last);
    default:
      return;
  }
}

static inline void product(TileOperands t, int64_t m, int64_t n) {
  while (n > 0) {
    const int64_t width = n < kPanel ? n : kPanel;
    const int64_t vecs = (width + kLanes - 1) / kLanes;
    const int64_t last = width - (vecs - 1) * kLanes;
    switch (vecs) {
      case 1:
        tile_column<1>(t, m, last);
        break;
      case 2:
        tile_column<2>(t, m, last);
        break;
      case 3:
        tile_column<kTileVecs == 4 ? 3 : 2>(t, m, last);
        break;
      default:
        tile_column<kTileVecs>(t, m, last);
        break;
    }
    t.b += width;
    t.c += width;
    n -= width;
  }
}

}  // namespace kintsugi::cpu::KINTSUGI_ISA
