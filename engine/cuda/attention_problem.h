// The arguments of the attention kernels, and the choice of an engine for them. Only .cu files
// include it. Never installed.
#pragma once

#include "kintsugi/engine/core/context.h"
#include "kintsugi/engine/cuda/attention_tile.h"

namespace kintsugi::cuda::tiles {

// The heads of a tensor (B,H,rows,columns).
struct Heads {
  float* data;
  int64_t batch, head, row;
  bool vectors;

  explicit Heads(const Tensor& x)
      : data(pointer<float>(x)),
        batch(x.strides()[0]),
        head(x.strides()[1]),
        row(x.strides()[2]),
        vectors(reinterpret_cast<uintptr_t>(data) % 16 == 0 && batch % 4 == 0 && head % 4 == 0 &&
                row % 4 == 0) {}
  __device__ __forceinline__ float* at(int64_t b, int64_t h) const {
    return data + b * batch + h * head;
  }
  __device__ __forceinline__ Rows rows(int64_t b, int64_t h) const {
    return {at(b, h), row, vectors};
  }
};

// (B,H,N,M) of any strides; no data where it is undefined.
struct Plane {
  float* data;
  int64_t stride[4] = {0, 0, 0, 0};

  explicit Plane(const Tensor& x) : data(pointer<float>(x)) {
    for (int i = 0; data && i < 4; ++i) stride[i] = x.size(i) == 1 ? 0 : x.strides()[i];
  }
  __device__ __forceinline__ float* head(int64_t b, int64_t h) const {
    return data ? data + b * stride[0] + h * stride[1] : nullptr;
  }
  __device__ __forceinline__ int64_t at(int64_t i, int64_t j) const {
    return i * stride[2] + j * stride[3];
  }
};

struct Problem {
  Heads q, k, v;
  Plane bias;
  float scale;
  int64_t heads, n, m;
  int d, e;

  Problem(const Tensor& queries, const Tensor& keys, const Tensor& values, const Tensor& plane,
          double factor)
      : q(queries),
        k(keys),
        v(values),
        bias(plane),
        scale(float(factor)),
        heads(queries.size(1)),
        n(queries.size(2)),
        m(keys.size(2)),
        d(int(queries.size(3))),
        e(int(values.size(3))) {}
};

inline int64_t tiles_of(int64_t rows) {
  return (rows + kSide - 1) / kSide;
}

inline constexpr int kMaxWidth = 256;  // of a head: what a thread can keep of sums in registers

inline bool takes(const Tensor& x) {
  return x.dtype() == DType::kF32 && x.size(3) <= kMaxWidth &&
         (x.size(3) <= 1 || x.strides()[3] == 1);
}

template <class E, int kChunks>
struct Choice {
  using Engine = E;
  static constexpr int kCount = kChunks;
};

template <template <int> class E, bool kAll, class Run>
void with_chunks(int width, const Run& run) {
  if (width <= 32)
    run(Choice<E<32>, 1>());
  else if (width <= 64)
    run(Choice<E<64>, 1>());
  else if (width <= 128 || !kAll)
    run(Choice<E<64>, 2>());
  else if constexpr (kAll)
    run(Choice<E<64>, 4>());
}

// Calls run(Choice) for heads of at most `width` columns. kSums: of a head's width, that a thread
// keeps. Where its registers cannot hold those of a tensor-core kernel, multiply-adds serve: more
// exact than was asked for.
template <int kSums, class Run>
void with_engine(int width, const Run& run) {
  const Math math = Context::current().math;
  if (math == Math::kF32 || (width > 128 && kSums > 1))
    with_chunks<Fma, true>(width, run);
  else if (math == Math::kTF32)
    with_chunks<Tf32, kSums == 1>(width, run);
  else
    with_chunks<Bf16, kSums == 1>(width, run);
}

}  // namespace kintsugi::cuda::tiles
