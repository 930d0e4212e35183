// Elements in device memory, f32 or bf16, that a thread loads and stores several at once; kernels
// compute in float. Never installed.
#pragma once

#include "kintsugi/engine/core/tensor.h"
#include "kintsugi/engine/cuda/launch.h"

namespace kintsugi::cuda {

// Loops over registers, which have no addresses: nvcc must unroll them. It must not where copies of
// a rare path would only make a kernel long.
#ifdef KINTSUGI_SIMT_EMULATED
#define KINTSUGI_UNROLL
#define KINTSUGI_NO_UNROLL
#else
#define KINTSUGI_UNROLL _Pragma("unroll")
#define KINTSUGI_NO_UNROLL _Pragma("unroll 1")
#endif

// N neighbours, aligned to their size or to the 16 bytes that one access moves.
template <class T, int N>
struct alignas(N * sizeof(T) < 16 ? N * sizeof(T) : 16) Vector {
  T at[N];
};
template <int N>
using Floats = Vector<float, N>;

template <int N, class T>
__device__ __forceinline__ Vector<T, N> load(const T* from) {
  return *reinterpret_cast<const Vector<T, N>*>(from);
}
template <class T, int N>
__device__ __forceinline__ void store(T* to, const Vector<T, N>& values) {
  *reinterpret_cast<Vector<T, N>*>(to) = values;
}

__device__ __forceinline__ float widen(float x) { return x; }
__device__ __forceinline__ float widen(BFloat16 x) {
  return __uint_as_float(uint32_t(x.bits) << 16);
}
template <class T, int N>
__device__ __forceinline__ Floats<N> widen(const Vector<T, N>& x) {
  Floats<N> out;
  KINTSUGI_UNROLL
  for (int k = 0; k < N; ++k) out.at[k] = widen(x.at[k]);
  return out;
}

// `x` where it is at least so much, `least` where not; NaN stays NaN.
__device__ __forceinline__ float at_least(float least, float x) { return x < least ? least : x; }

// Two floats as bf16, rounded to nearest even, `low` in the low half; NaN stays NaN.
__device__ __forceinline__ uint32_t pack_bf16(float low, float high) {
#ifdef KINTSUGI_SIMT_EMULATED
  return uint32_t(f32_to_bf16(low)) | uint32_t(f32_to_bf16(high)) << 16;
#else
  uint32_t word;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
  return word;
#endif
}

// The same, as T.
template <class T>
__device__ __forceinline__ T narrow(float x) {
  if constexpr (std::is_same_v<T, float>)
    return x;
  else
    return BFloat16{uint16_t(pack_bf16(x, 0))};
}
template <class T, int N>
__device__ __forceinline__ Vector<T, N> narrow(const Floats<N>& x) {
  Vector<T, N> out;
  if constexpr (std::is_same_v<T, float>) {
    out = x;
  } else if constexpr (N == 1) {
    out.at[0] = narrow<T>(x.at[0]);
  } else {
    KINTSUGI_UNROLL
    for (int k = 0; k < N; k += 2) {
      const uint32_t word = pack_bf16(x.at[k], x.at[k + 1]);
      out.at[k] = BFloat16{uint16_t(word)};
      out.at[k + 1] = BFloat16{uint16_t(word >> 16)};
    }
  }
  return out;
}

// N elements as floats.
template <int N, class T>
__device__ __forceinline__ Floats<N> read(const T* from) {
  return widen(load<N>(from));
}
template <class T, int N>
__device__ __forceinline__ void write(T* to, const Floats<N>& values) {
  store(to, narrow<T>(values));
}

// Of N, a power of two, in pairs: runs this short lose little in f32, and sums in double then
// convert once a run.
template <int N>
__device__ __forceinline__ float sum_of(Floats<N> x) {
  KINTSUGI_UNROLL
  for (int half = N / 2; half > 0; half /= 2) {
    KINTSUGI_UNROLL
    for (int k = 0; k < half; ++k) x.at[k] += x.at[k + half];
  }
  return x.at[0];
}

// N neighbours, or one element repeated where `step` is 0.
template <int N, class T>
__device__ __forceinline__ Floats<N> read_or_repeat(const T* from, int64_t step) {
  if constexpr (N > 1) {
    if (step == 0) {
      Floats<N> out;
      KINTSUGI_UNROLL
      for (int e = 0; e < N; ++e) out.at[e] = widen(*from);
      return out;
    }
  }
  return read<N>(from);
}

// Elements of T in 16 bytes: what a thread moves at once where addresses and counts allow it.
template <class T>
inline constexpr int kLanesOf = int(16 / sizeof(T));

// Whether all begin at whole 16 bytes; an absent tensor does.
template <class... Pointers>
bool are_aligned(const Pointers*... at) {
  return ((reinterpret_cast<uintptr_t>(at) % 16 == 0) && ...);
}

// f(N) with N a constant: kLanesOf<T> where whole such groups lie at these addresses in rows of
// `count` elements, else 1.
template <class T, class F, class... Pointers>
void visit_width(const F& f, int64_t count, const Pointers*... at) {
  if (count % kLanesOf<T> == 0 && are_aligned(at...))
    f(std::integral_constant<int, kLanesOf<T>>());
  else
    f(std::integral_constant<int, 1>());
}

// f(T()) with what a tensor's elements are; false where they are neither f32 nor bf16.
template <class F>
bool visit_storage(const Tensor& x, const F& f) {
  if (x.dtype() == DType::kF32)
    f(float{});
  else if (x.dtype() == DType::kBF16)
    f(BFloat16{});
  else
    return false;
  return true;
}

}  // namespace kintsugi::cuda
