// Tensor-core products of one warp, as mma.sync gives them on sm_80 and later: d (16,8) += a (16,K)
// b (K,8) with f32 sums. Where lane L keeps what, with g = L / 4 and t = L % 4 (PTX ISA, "Matrix
// fragments for mma.m16n8k8" and "mma.m16n8k16"):
//   d[0..3]: (g,2t) (g,2t+1) (g+8,2t) (g+8,2t+1)
//   TF32, K = 8:   a: (g,t) (g+8,t) (g,t+4) (g+8,t+4);  b: (t,g) (t+4,g)
//   BF16, K = 16, two neighbours of K in a word, the first in its low half:
//                  a: (g,2t) (g+8,2t) (g,2t+8) (g+8,2t+8);  b: (2t,g) (2t+8,g)
// Never installed.
#pragma once

#include "kintsugi/engine/cuda/vector.h"

namespace kintsugi::cuda {

#ifdef KINTSUGI_SIMT_EMULATED

namespace emulated {

struct Fragments {
  uint32_t words[6];  // a, then b
};

inline float tf32(uint32_t bits) { return __uint_as_float(bits & 0xffffe000u); }
inline float bf16(uint32_t word, int half) {
  return __uint_as_float(half ? word & 0xffff0000u : word << 16);
}

// A(row, k) and B(k, column) of the fragments that the lanes of a warp hold.
template <int kDepth, class A, class B>
void product(float (&d)[4], const A& a, const B& b) {
  const int g = simt::lane() / 4, t = simt::lane() % 4;
  for (int k = 0; k < kDepth; ++k) {
    const float left[2] = {a(g, k), a(g + 8, k)}, right[2] = {b(k, 2 * t), b(k, 2 * t + 1)};
    for (int i = 0; i < 4; ++i) d[i] += left[i / 2] * right[i % 2];
  }
}

inline const simt::Slot* meet(const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  const Fragments mine{{a[0], a[1], a[2], a[3], b[0], b[1]}};
  return simt::exchange(0xffffffffu, &mine, sizeof(mine));
}
inline uint32_t word(const simt::Slot* slots, int lane, int index) {
  uint32_t out;
  std::memcpy(&out, slots[lane].bytes + 4 * index, sizeof(out));
  return out;
}

}  // namespace emulated

// The value rounded to TF32 (10 bits of mantissa), to nearest, ties away from zero.
inline uint32_t to_tf32(float x) {
  const uint32_t bits = __float_as_uint(x);
  if ((bits & 0x7f800000u) == 0x7f800000u) return bits;
  return (bits + 0x1000u) & 0xffffe000u;
}

inline void mma_tf32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  const simt::Slot* slots = emulated::meet(a, b);
  emulated::product<8>(
      d,
      [&](int row, int k) {
        return emulated::tf32(
            emulated::word(slots, row % 8 * 4 + k % 4, row / 8 + k / 4 * 2));
      },
      [&](int k, int column) {
        return emulated::tf32(emulated::word(slots, column * 4 + k % 4, 4 + k / 4));
      });
}

inline void mma_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  const simt::Slot* slots = emulated::meet(a, b);
  emulated::product<16>(
      d,
      [&](int row, int k) {
        return emulated::bf16(
            emulated::word(slots, row % 8 * 4 + k % 8 / 2, row / 8 + k / 8 * 2), k % 2);
      },
      [&](int k, int column) {
        return emulated::bf16(emulated::word(slots, column * 4 + k % 8 / 2, 4 + k / 8), k % 2);
      });
}

#else

__device__ __forceinline__ uint32_t to_tf32(float x) {
  uint32_t out;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(out) : "f"(x));
  return out;
}

__device__ __forceinline__ void mma_tf32(float (&d)[4], const uint32_t (&a)[4],
                                         const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

__device__ __forceinline__ void mma_bf16(float (&d)[4], const uint32_t (&a)[4],
                                         const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

#endif

}  // namespace kintsugi::cuda
