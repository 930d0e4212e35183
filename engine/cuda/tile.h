// A block's product of matrices that are gathered on the way: tiles of kRows by kColumns results
// and kDepth terms, in shared memory twice so that one is filled while the other is multiplied.
// f32 operands in memory; what they are and where results go, engine/cuda/conv_f32.cu says. Two
// engines behind one tiling: f32 by multiply-adds; TF32 by tensor cores, whose operands are rounded
// on their way into shared memory and whose sums are f32. Never installed.
#pragma once

#include "kintsugi/engine/core/context.h"
#include "kintsugi/engine/cuda/mma.h"

namespace kintsugi::cuda {

inline constexpr int kTileThreads = 128, kTileRows = 128, kTileDepth = 16;

// Shared memory of an operand of kSize rows (of A, or columns of B): words [term][row]. The stride
// spreads over the banks both the stores of neighbouring terms and the fragments' loads.
template <Math kMath, int kSize>
struct Operand {
  static constexpr int kStride = kMath == Math::kTF32 ? kSize + 2 : kSize + 4;
  static constexpr int kWords = kTileDepth * kStride;

  // Terms k .. k+3 of one row.
  __device__ __forceinline__ static void put_terms(uint32_t* to, int k, int row, const float4& v) {
    to[k * kStride + row] = word(v.x);
    to[(k + 1) * kStride + row] = word(v.y);
    to[(k + 2) * kStride + row] = word(v.z);
    to[(k + 3) * kStride + row] = word(v.w);
  }

  // Terms k (even) and k+1 of rows row .. row+3.
  __device__ __forceinline__ static void put_rows(uint32_t* to, int k, int row, const float4& a,
                                                  const float4& b) {
    put_row(to + k * kStride + row, a);
    put_row(to + (k + 1) * kStride + row, b);
  }

 private:
  __device__ __forceinline__ static uint32_t word(float x) {
    if constexpr (kMath == Math::kTF32)
      return to_tf32(x);
    else
      return __float_as_uint(x);
  }
  __device__ __forceinline__ static void put_row(uint32_t* to, const float4& v) {
    if constexpr (kMath == Math::kTF32) {  // the stride is even, no more
      *reinterpret_cast<uint2*>(to) = uint2{word(v.x), word(v.y)};
      *reinterpret_cast<uint2*>(to + 2) = uint2{word(v.z), word(v.w)};
    } else {
      *reinterpret_cast<uint4*>(to) = uint4{word(v.x), word(v.y), word(v.z), word(v.w)};
    }
  }
};

// Sums of a thread: kDown by kAcross groups of 4 rows by 4 columns, kTileRows / kDown rows and
// kColumns / kAcross columns from one another.
template <int kColumns>
struct Multiply {
  static constexpr int kAcross = kColumns >= 32 ? 2 : 1;
  static constexpr int kWide = kColumns / (4 * kAcross);  // threads along a row
  static constexpr int kDown = kTileRows * kWide / (4 * kTileThreads);
  using A = Operand<Math::kF32, kTileRows>;
  using B = Operand<Math::kF32, kColumns>;

  float sum[kDown][kAcross][4][4] = {};

  __device__ __forceinline__ void step(const uint32_t* a, const uint32_t* b) {
    const int x = int(threadIdx.x) % kWide * 4, y = int(threadIdx.x) / kWide * 4;
    KINTSUGI_UNROLL
    for (int k = 0; k < kTileDepth; ++k) {
      float4 left[kDown], right[kAcross];
      KINTSUGI_UNROLL
      for (int i = 0; i < kDown; ++i) {
        left[i] =
            *reinterpret_cast<const float4*>(a + k * A::kStride + i * (kTileRows / kDown) + y);
      }
      KINTSUGI_UNROLL
      for (int j = 0; j < kAcross; ++j) {
        right[j] =
            *reinterpret_cast<const float4*>(b + k * B::kStride + j * (kColumns / kAcross) + x);
      }
      KINTSUGI_UNROLL
      for (int i = 0; i < kDown; ++i) {
        KINTSUGI_UNROLL
        for (int j = 0; j < kAcross; ++j) {
          add(sum[i][j][0], left[i].x, right[j]);
          add(sum[i][j][1], left[i].y, right[j]);
          add(sum[i][j][2], left[i].z, right[j]);
          add(sum[i][j][3], left[i].w, right[j]);
        }
      }
    }
  }

  // to.row(row), then to.put(columns column .. column + N - 1 of it)
  template <class To>
  __device__ __forceinline__ void finish(To& to) const {
    const int x = int(threadIdx.x) % kWide * 4, y = int(threadIdx.x) / kWide * 4;
    KINTSUGI_UNROLL
    for (int i = 0; i < kDown; ++i) {
      KINTSUGI_UNROLL
      for (int r = 0; r < 4; ++r) {
        if (!to.row(i * (kTileRows / kDown) + y + r)) continue;
        KINTSUGI_UNROLL
        for (int j = 0; j < kAcross; ++j) to.put(j * (kColumns / kAcross) + x, sum[i][j][r]);
      }
    }
  }

 private:
  __device__ __forceinline__ static void add(float (&to)[4], float a, const float4& b) {
    to[0] += a * b.x;
    to[1] += a * b.y;
    to[2] += a * b.z;
    to[3] += a * b.w;
  }
};

// Four warps; each has 64 by 32 results where columns are many, else 32 rows of all columns. The
// order of terms is free as long as A and B have the same: lane t takes neighbours in place of t
// and t + 4, which with the operands' strides keeps the lanes of a load in banks of their own.
template <int kColumns>
struct TensorCores {
  static constexpr int kWarpsAcross = kColumns >= 64 ? 2 : 1;
  static constexpr int kWarpRows = kTileRows * kWarpsAcross / 4;
  static constexpr int kWarpColumns = kColumns / kWarpsAcross;
  static constexpr int kDown = kWarpRows / 16, kAcross = kWarpColumns / 8;
  using A = Operand<Math::kTF32, kTileRows>;
  using B = Operand<Math::kTF32, kColumns>;

  float sum[kDown][kAcross][4] = {};

  __device__ __forceinline__ static int first_row() {
    return int(threadIdx.x) / 32 / kWarpsAcross * kWarpRows + int(threadIdx.x) % 32 / 4;
  }
  __device__ __forceinline__ static int first_column() {
    return int(threadIdx.x) / 32 % kWarpsAcross * kWarpColumns;
  }

  __device__ __forceinline__ void step(const uint32_t* a, const uint32_t* b) {
    const int g = int(threadIdx.x) % 32 / 4, t = int(threadIdx.x) % 4;
    KINTSUGI_UNROLL
    for (int s = 0; s < 2; ++s) {
      const int line = 4 * t + 2 * s;
      const uint32_t* from_a = a + line * A::kStride + first_row();
      const uint32_t* from_b = b + line * B::kStride + first_column() + g;
      uint32_t right[kAcross][2];
      KINTSUGI_UNROLL
      for (int j = 0; j < kAcross; ++j) {
        right[j][0] = from_b[8 * j];
        right[j][1] = from_b[B::kStride + 8 * j];
      }
      KINTSUGI_UNROLL
      for (int i = 0; i < kDown; ++i) {
        const uint32_t left[4] = {from_a[16 * i], from_a[16 * i + 8], from_a[A::kStride + 16 * i],
                                  from_a[A::kStride + 16 * i + 8]};
        KINTSUGI_UNROLL
        for (int j = 0; j < kAcross; ++j) mma_tf32(sum[i][j], left, right[j]);
      }
    }
  }

  template <class To>
  __device__ __forceinline__ void finish(To& to) const {
    const int column = first_column() + int(threadIdx.x) % 4 * 2;
    KINTSUGI_UNROLL
    for (int i = 0; i < kDown; ++i) {
      KINTSUGI_UNROLL
      for (int half = 0; half < 2; ++half) {
        if (!to.row(first_row() + 16 * i + 8 * half)) continue;
        KINTSUGI_UNROLL
        for (int j = 0; j < kAcross; ++j) {
          const float pair[2] = {sum[i][j][2 * half], sum[i][j][2 * half + 1]};
          to.put(column + 8 * j, pair);
        }
      }
    }
  }
};

template <Math kMath, int kColumns>
struct EngineOf {
  using Type = TensorCores<kColumns>;
};
template <int kColumns>
struct EngineOf<Math::kF32, kColumns> {
  using Type = Multiply<kColumns>;
};

template <Math kMath, int kColumns>
inline constexpr size_t kTileBytes = 2 * sizeof(uint32_t) *
                                     (Operand<kMath, kTileRows>::kWords +
                                      Operand<kMath, kColumns>::kWords);

// Loader: load(first term), then stage(words) what it holds; of A and of B. Terms [begin, end), a
// multiple of kTileDepth from one another but for the last tile.
template <Math kMath, int kColumns, class LoaderA, class LoaderB, class To>
__device__ __forceinline__ void multiply_tiles(LoaderA& load_a, LoaderB& load_b, int begin, int end,
                                               To& to) {
  constexpr int kWordsA = Operand<kMath, kTileRows>::kWords;
  constexpr int kWords = kWordsA + Operand<kMath, kColumns>::kWords;
  uint32_t* shared = dynamic_shared<uint32_t>();
  typename EngineOf<kMath, kColumns>::Type engine;
  if (begin < end) {
    load_a.load(begin);
    load_b.load(begin);
    load_a.stage(shared);
    load_b.stage(shared + kWordsA);
    __syncthreads();
    int at = 0;
    for (int k = begin; k < end; k += kTileDepth) {
      const bool more = k + kTileDepth < end;
      if (more) {
        load_a.load(k + kTileDepth);
        load_b.load(k + kTileDepth);
      }
      engine.step(shared + at * kWords, shared + at * kWords + kWordsA);
      at ^= 1;
      if (more) {
        load_a.stage(shared + at * kWords);
        load_b.stage(shared + at * kWords + kWordsA);
      }
      __syncthreads();
    }
  }
  engine.finish(to);
}

}  // namespace kintsugi::cuda
