// The last few lanes of a row, and sums and maxima across lanes. For files in this folder only.
#pragma once

#include "kintsugi/engine/cpu/simd/vec.h"

namespace kintsugi::cpu::KINTSUGI_ISA {

// Policies of kernels that are written once for whole vectors and for the rest of a row. Lanes that
// are not there read as zero.
struct Whole {
  static constexpr int64_t count = kLanes;
  Vec get(const float* p) const { return load(p); }
  void put(float* p, Vec v) const { store(p, v); }
  Vec keep(Vec v, Vec = Vec{}) const { return v; }
};

struct Part {
  int64_t count;
  VecInt mask;

  explicit Part(int64_t lanes) : count(lanes) {
    VecInt index{};
    for (int i = 0; i < kLanes; ++i) index[i] = i;
    mask = index < int32_t(lanes);
  }
  Vec keep(Vec v, Vec other = Vec{}) const { return select(mask, v, other); }  // `other` elsewhere
#if defined(__AVX512F__)
  Vec get(const float* p) const {
    return __builtin_ia32_loadups512_mask(p, Vec{}, bits());
  }
  void put(float* p, Vec v) const {
    __builtin_ia32_storeups512_mask(p, v, bits());
  }
  uint16_t bits() const {
    return uint16_t((1u << count) - 1);
  }
#elif defined(__AVX2__)
  Vec get(const float* p) const {
    return __builtin_ia32_maskloadps256(reinterpret_cast<const Vec*>(p), mask);
  }
  void put(float* p, Vec v) const {
    __builtin_ia32_maskstoreps256(reinterpret_cast<Vec*>(p), mask, v);
  }
#else
  Vec get(const float* p) const {
    return load_part(p, count);
  }
  void put(float* p, Vec v) const {
    store_part(p, v, count);
  }
#endif
};

// body(lanes, column) over columns [begin, end) of a row.
template <class Body>
__attribute__((always_inline)) static inline void each_vector(int64_t begin, int64_t end,
                                                              const Body& body) {
  int64_t c = begin;
  for (; c + kLanes <= end; c += kLanes) body(Whole{}, c);
  if (c < end) body(Part(end - c), c);
}
template <class Body>
__attribute__((always_inline)) static inline void each_vector(int64_t columns, const Body& body) {
  each_vector(0, columns, body);
}

// Joins all lanes, halves first.
template <class Join>
static inline float across(Vec v, const Join& join) {
#if defined(__AVX512F__)
  typedef float Eight __attribute__((vector_size(32)));
  const Eight v8 = join(Eight(__builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7)),
                        Eight(__builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15)));
#elif defined(__AVX2__)
  const Vec v8 = v;
#endif
  typedef float Four __attribute__((vector_size(16)));
#if defined(__AVX2__)
  const Four v4 = join(Four(__builtin_shufflevector(v8, v8, 0, 1, 2, 3)),
                       Four(__builtin_shufflevector(v8, v8, 4, 5, 6, 7)));
#else
  const Four v4 = v;
#endif
  const Four v2 = join(v4, Four(__builtin_shufflevector(v4, v4, 2, 3, 0, 1)));
  return join(v2, Four(__builtin_shufflevector(v2, v2, 1, 0, 3, 2)))[0];
}

static inline float lane_sum(Vec v) {
  return across(v, [](auto a, auto b) { return a + b; });
}
static inline float lane_max(Vec v) {
  return across(v, [](auto a, auto b) { return a > b ? a : b; });
}

}  // namespace kintsugi::cpu::KINTSUGI_ISA
