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
  uint32_t a[4], b[2];
};

inline float tf32(uint32_t bits) { return __uint_as_float(bits & 0xffffe000u); }
inline float bf16(uint32_t word, int half) {
  return __uint_as_float(half ? word & 0xffff0000u : word << 16);
}

// A(row, k) and B(k, column) of the fragments that the lanes of a warp hold.
template <class A, class B>
void product(float (&d)[4], int depth, const A& a, const B& b) {
  const int g = simt::lane() / 4, t = simt::lane() % 4;
  for (int i = 0; i < 4; ++i) {
    const int row = g + i / 2 * 8, column = 2 * t + i % 2;
    for (int k = 0; k < depth; ++k) d[i] += a(row, k) * b(k, column);
  }
}

inline const simt::Slot* meet(const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  Fragments mine;
  for (int i = 0; i < 4; ++i) mine.a[i] = a[i];
  for (int i = 0; i < 2; ++i) mine.b[i] = b[i];
  return simt::exchange(0xffffffffu, &mine, sizeof(mine));
}
inline Fragments of(const simt::Slot* slots, int lane) {
  Fragments out;
  std::memcpy(&out, slots[lane].bytes, sizeof(out));
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
  emulated::product(
      d, 8,
      [&](int row, int k) {
        return emulated::tf32(
            emulated::of(slots, row % 8 * 4 + k % 4).a[row / 8 + k / 4 * 2]);
      },
      [&](int k, int column) {
        return emulated::tf32(emulated::of(slots, column * 4 + k % 4).b[k / 4]);
      });
}

inline void mma_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  const simt::Slot* slots = emulated::meet(a, b);
  emulated::product(
      d, 16,
      [&](int row, int k) {
        return emulated::bf16(
            emulated::of(slots, row % 8 * 4 + k % 8 / 2).a[row / 8 + k / 8 * 2], k % 2);
      },
      [&](int k, int column) {
        return emulated::bf16(emulated::of(slots, column * 4 + k % 8 / 2).b[k / 8], k % 2);
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
