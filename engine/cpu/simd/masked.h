// The first few lanes of a vector, for channel counts that are no multiple of the width. For files
// in this folder only.
#pragma once

#include "kintsugi/engine/cpu/simd/vec.h"
#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace kintsugi::cpu::KINTSUGI_ISA {

// Reads and writes kLanes floats, or only the first `count` of them (zeros after) where !kFull.
template <bool kFull>
struct Lanes {
  explicit Lanes(int64_t count) {
    if constexpr (!kFull) {
#if defined(__AVX512F__)
      mask = __mmask16((1u << count) - 1);
#elif defined(__AVX2__)
      mask = _mm256_cmpgt_epi32(_mm256_set1_epi32(int(count)),
                                _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
#else
      mask = count;
#endif
    } else {
      (void)count;
    }
  }

  Vec get(const float* p) const {
    if constexpr (kFull) return load(p);
#if defined(__AVX512F__)
    return (Vec)_mm512_maskz_loadu_ps(mask, p);
#elif defined(__AVX2__)
    return (Vec)_mm256_maskload_ps(p, mask);
#else
    return load_part(p, mask);
#endif
  }

  void put(float* p, Vec v) const {
    if constexpr (kFull) return store(p, v);
#if defined(__AVX512F__)
    _mm512_mask_storeu_ps(p, mask, (__m512)v);
#elif defined(__AVX2__)
    _mm256_maskstore_ps(p, mask, (__m256)v);
#else
    store_part(p, v, mask);
#endif
  }

 private:
#if defined(__AVX512F__)
  __mmask16 mask = 0;
#elif defined(__AVX2__)
  __m256i mask = {};
#else
  int64_t mask = 0;
#endif
};

// body(lanes, c) for every vector of channels in [begin, end), the last one possibly a part.
template <class Body>
static inline void for_each_vector(int64_t begin, int64_t end, const Body& body) {
  int64_t c = begin;
  for (; c + kLanes <= end; c += kLanes) body(Lanes<true>(kLanes), c);
  if (c < end) body(Lanes<false>(end - c), c);
}

}  // namespace kintsugi::cpu::KINTSUGI_ISA
