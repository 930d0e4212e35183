// A vector of floats as wide as the instruction set, for files in this folder only: they write a
// kernel once and are compiled once per set. Includes no standard header with inline functions.
#pragma once

#include <cstdint>

#ifndef KINTSUGI_ISA
#error "engine/cpu/simd files are compiled once per instruction set, with KINTSUGI_ISA defined"
#endif

namespace kintsugi::cpu::KINTSUGI_ISA {

#if defined(__AVX512F__)
inline constexpr int kLanes = 16;
#elif defined(__AVX2__)
inline constexpr int kLanes = 8;
#else
inline constexpr int kLanes = 4;
#endif

typedef float Vec __attribute__((vector_size(kLanes * 4)));
typedef float VecUnaligned __attribute__((vector_size(kLanes * 4), aligned(4), may_alias));
typedef int32_t VecInt __attribute__((vector_size(kLanes * 4)));

static inline Vec load(const float* p) { return *reinterpret_cast<const VecUnaligned*>(p); }
static inline void store(float* p, Vec v) { *reinterpret_cast<VecUnaligned*>(p) = v; }
static inline Vec splat(float x) { return Vec{} + x; }

static inline Vec select(VecInt mask, Vec yes, Vec no) { return mask ? yes : no; }
static inline Vec max(Vec a, Vec b) { return a > b ? a : b; }
static inline Vec min(Vec a, Vec b) { return a < b ? a : b; }

// The first `count` lanes of p, zeros after; and back.
static inline Vec load_part(const float* p, int64_t count) {
  Vec v{};
  for (int64_t i = 0; i < count; ++i) v[i] = p[i];
  return v;
}
static inline void store_part(float* p, Vec v, int64_t count) {
  for (int64_t i = 0; i < count; ++i) p[i] = v[i];
}

// e^x: 2^n * p(r) with |r| <= ln2/2, relative error below 3e-7; 0 below -87.3, inf above 88.7.
static inline Vec exp(Vec x) {
  const Vec low = splat(-87.33654f), high = splat(88.72283f);
  const VecInt under = x < low, over = x > high;
  const Vec clamped = min(max(x, low), high);
  const Vec shifter = splat(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
  const Vec n = (clamped * 1.44269504f + shifter) - shifter;
  const Vec r = (clamped - n * 0.693359375f) - n * -2.12194440e-4f;
  Vec p = splat(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  // n may be 128: 2^n in two factors.
  const VecInt whole = __builtin_convertvector(n, VecInt);
  const VecInt half = whole >> 1;
  const Vec scale_a = (Vec)((half + 127) << 23);
  const Vec scale_b = (Vec)((whole - half + 127) << 23);
  Vec y = p * scale_a * scale_b;
  y = select(under, Vec{}, y);
  y = select(over, splat(__builtin_inff()), y);
  return select(x != x, x, y);
}

// tanh via exp(2x), and by its odd polynomial near 0 where that cancels.
static inline Vec tanh(Vec x) {
  const Vec magnitude = select(x < 0.0f, -x, x);
  const Vec e = exp(2.0f * min(magnitude, splat(10.0f)));
  const Vec big = 1.0f - 2.0f / (e + 1.0f);
  const Vec x2 = x * x;
  const Vec small = x + x * x2 * (-0.333332819f + x2 * (0.133314422f + x2 * (-0.0537397280f +
                    x2 * (0.0206390888f + x2 * -0.00570498872f))));
  const Vec y = select(magnitude < 0.625f, small, select(x < 0.0f, -big, big));
  return select(x != x, x, y);
}

}  // namespace kintsugi::cpu::KINTSUGI_ISA
