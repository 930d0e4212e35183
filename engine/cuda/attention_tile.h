// What the attention kernels are made of: tiles of 64 queries and 64 keys, and three engines that
// multiply them: f32 by multiply-adds and in TF32, bf16 on its tensor cores. Only .cu files include
// it. Never installed.
//
// An engine holds `scores`, a tile of rows x columns, spread over the threads of a block, and
// `outs`, rows x kWidth elements of a sum. Matrices come to it through shared memory, 64 rows and
// kWidth columns at a time, zero beyond what there is.
#pragma once

#include "kintsugi/engine/cuda/async.h"
#include "kintsugi/engine/cuda/block.h"
#include "kintsugi/engine/cuda/mma.h"

// Loops over a thread's registers are unrolled; loops over depth are not, where one round has work
// enough to hide what it waits for.
#ifdef KINTSUGI_SIMT_EMULATED
#define KINTSUGI_ROLL
#else
#define KINTSUGI_ROLL _Pragma("unroll 1")
#endif

namespace kintsugi::cuda::tiles {

inline constexpr int kSide = 64;       // rows and columns of a tile of scores
inline constexpr int kMaxWidth = 128;  // columns of a head in shared memory at once

// The same number, of which the compiler knows nothing: what is made of it is computed again where
// it is used, and keeps no registers over a loop.
__device__ __forceinline__ int hidden(int x) {
#ifndef KINTSUGI_SIMT_EMULATED
  asm volatile("" : "+r"(x));
#endif
  return x;
}

// A matrix in memory with unit steps along its rows; `vectors`: rows begin at multiples of 16
// bytes.
template <class T>
struct Rows {
  const T* data;
  int64_t row;
  bool vectors;
};

// Rows first ... first + count - 1 and columns column ... column + kWidth - 1 of a matrix of
// `columns` columns.
struct Window {
  int64_t first;
  int count, column, columns;
};

// A window in shared memory, rows there kStride elements apart: 16 bytes at a time while the thread
// goes on, where rows allow it.
template <int kWidth, int kStride, int kThreads, class T>
__device__ __forceinline__ void copy_window(T* to, const Rows<T>& x, const Window& at) {
  constexpr int kLanes = kLanesOf<T>, kUnits = kWidth / kLanes;
  const int thread = hidden(int(threadIdx.x));
  if (x.vectors) {
    KINTSUGI_UNROLL
    for (int step = 0; step < kSide * kUnits / kThreads; ++step) {
      const int i = step * kThreads + thread;
      const int row = i / kUnits, column = i % kUnits * kLanes;
      const int left = row < at.count ? at.columns - at.column - column : 0;
      const T* const from = x.data + (at.first + row) * x.row + at.column + column;
      const int seen = left < kLanes ? left : kLanes;
      copy_async16(shared_at(to + row * kStride + column), left > 0 ? from : x.data,
                   left > 0 ? seen * int(sizeof(T)) : 0);
    }
  } else {
    KINTSUGI_ROLL
    for (int i = thread; i < kSide * kWidth; i += kThreads) {
      const int row = i / kWidth, column = i % kWidth;
      const bool inside = row < at.count && at.column + column < at.columns;
      const int64_t from = (at.first + row) * x.row + at.column + column;
      to[row * kStride + column] = inside ? x.data[from] : narrow<T>(0.0f);
    }
  }
}

// 2^x, to 2^-22 of it; 0 below 2^-126.
__device__ __forceinline__ float power_of_two(float x) {
#ifdef KINTSUGI_SIMT_EMULATED
  return std::exp2(x);
#else
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#endif
}

// Multiply-adds in f32: 16 x 16 threads, each with 4 rows side by side and every 16th column.
template <int W>
struct Fma {
  using T = float;
  using Word = float;
  static constexpr bool kOverlaps = false;
  static constexpr int kThreads = 256, kWidth = W;
  static constexpr int kStride = W + 4;  // rows in shared memory begin in different banks
  static constexpr int kScratchStride = kSide + 4, kScratch = kSide * kScratchStride;
  static constexpr int kSlots = 4;   // rows that a thread has a part of
  static constexpr int kLanes = 16;  // neighbours that share a row
  static constexpr int kBlocks = 4, kInner = 4, kOutBlocks = 4, kOutInner = W / 16;
  using Scores = float[kBlocks][kInner];
  using Outs = float[kOutBlocks][kOutInner];
  struct Weights {
    const float* at;  // in shared memory
  };

  static __device__ __forceinline__ int tx() { return int(threadIdx.x) % 16; }
  static __device__ __forceinline__ int ty() { return int(threadIdx.x) / 16; }
  static __device__ __forceinline__ int row_of(int slot) { return ty() * 4 + slot; }
  static __device__ __forceinline__ int slot(int i, int) { return i; }
  static __device__ __forceinline__ int column(int, int j) { return tx() + 16 * j; }
  static __device__ __forceinline__ int out_slot(int i, int) { return i; }
  static __device__ __forceinline__ int out_column(int, int j) { return tx() * kOutInner + j; }

  // Whether this warp has rows, and whether block i of scores lies beyond all columns.
  static __device__ __forceinline__ bool has_rows(int rows) {
    return int(threadIdx.x) / 32 * 8 < rows;
  }
  static __device__ __forceinline__ bool beyond(int, int) { return false; }

  static __device__ __forceinline__ void stage(Word* to, const Rows<T>& x, const Window& at) {
    copy_window<W, kStride, kThreads>(to, x, at);
  }

  // s(i,j) += row i of own times row j < count of other, over `depth` columns.
  static __device__ __forceinline__ void dots(Scores& s, const Word* own, const Word* other,
                                              int depth, int) {
    const Word* const left = own + row_of(0) * kStride;
    const Word* const right = other + tx() * kStride;
    KINTSUGI_ROLL
    for (int d = 0; d < depth; d += 4) {
      float4 a[4], b[4];
      KINTSUGI_UNROLL
      for (int i = 0; i < 4; ++i) {
        a[i] = *reinterpret_cast<const float4*>(left + i * kStride + d);
        b[i] = *reinterpret_cast<const float4*>(right + i * 16 * kStride + d);
      }
      KINTSUGI_UNROLL
      for (int i = 0; i < 4; ++i) {
        KINTSUGI_UNROLL
        for (int j = 0; j < 4; ++j) {
          s[i][j] += a[i].x * b[j].x;
          s[i][j] += a[i].y * b[j].y;
          s[i][j] += a[i].z * b[j].z;
          s[i][j] += a[i].w * b[j].w;
        }
      }
    }
  }

  // The 16 threads of a row hand it to each other: half a warp.
  static __device__ __forceinline__ Weights weights(const Scores& s, float* scratch) {
    __syncwarp();
    KINTSUGI_UNROLL
    for (int i = 0; i < 4; ++i) {
      KINTSUGI_UNROLL
      for (int j = 0; j < 4; ++j) scratch[row_of(i) * kScratchStride + column(i, j)] = s[i][j];
    }
    __syncwarp();
    return {scratch + row_of(0) * kScratchStride};
  }

  // out += weights (rows, depth) times x (depth, kWidth); both are zero from `depth` on.
  static __device__ __forceinline__ void weigh(Outs& out, const Weights& weights, const Word* x,
                                               int depth) {
    const Word* const right = x + tx() * kOutInner;
    KINTSUGI_ROLL
    for (int k = 0; k < depth; k += 4) {
      float w[4][4];
      KINTSUGI_UNROLL
      for (int i = 0; i < 4; ++i) {
        const float4 four = *reinterpret_cast<const float4*>(weights.at + i * kScratchStride + k);
        w[i][0] = four.x;
        w[i][1] = four.y;
        w[i][2] = four.z;
        w[i][3] = four.w;
      }
      KINTSUGI_UNROLL
      for (int kk = 0; kk < 4; ++kk) {
        float v[kOutInner];
        constexpr int kLanes = kOutInner < 4 ? kOutInner : 4;
        KINTSUGI_UNROLL
        for (int j = 0; j < kOutInner; ++j) {
          if (j % kLanes != 0) continue;
          const Floats<kLanes> some = load<kLanes>(right + (k + kk) * kStride + j);
          KINTSUGI_UNROLL
          for (int l = 0; l < kLanes; ++l) v[j + l] = some.at[l];
        }
        KINTSUGI_UNROLL
        for (int i = 0; i < 4; ++i) {
          KINTSUGI_UNROLL
          for (int j = 0; j < kOutInner; ++j) out[i][j] += w[i][kk] * v[j];
        }
      }
    }
  }
};

// Four warps of 16 rows each; element (i,j) of a thread is element j of product i of mma.h.
template <int W>
struct MmaTile {
  static constexpr int kThreads = 128, kWidth = W;
  static constexpr int kScratch = 0;
  static constexpr int kSlots = 2, kLanes = 4;
  static constexpr int kBlocks = kSide / 8, kInner = 4, kOutBlocks = W / 8, kOutInner = 4;
  using Scores = float[kBlocks][kInner];
  using Outs = float[kOutBlocks][kOutInner];

  static __device__ __forceinline__ int g() { return int(threadIdx.x) % 32 / 4; }
  static __device__ __forceinline__ int t() { return int(threadIdx.x) % 4; }
  static __device__ __forceinline__ int row_of(int slot) {
    return int(threadIdx.x) / 32 * 16 + g() + slot * 8;
  }
  static __device__ __forceinline__ int slot(int, int j) { return j / 2; }
  static __device__ __forceinline__ int column(int i, int j) { return i * 8 + 2 * t() + j % 2; }
  static __device__ __forceinline__ int out_slot(int, int j) { return j / 2; }
  static __device__ __forceinline__ int out_column(int i, int j) { return column(i, j); }

  static __device__ __forceinline__ bool has_rows(int rows) {
    return int(threadIdx.x) / 32 * 16 < rows;
  }
  static __device__ __forceinline__ bool beyond(int i, int columns) {
    return i % 2 == 0 && i * 8 >= columns;  // by pairs, as Bf16 multiplies them
  }
};

template <int W>
struct Tf32 : MmaTile<W> {
  using Base = MmaTile<W>;
  using typename Base::Outs;
  using typename Base::Scores;
  using T = float;
  using Word = uint32_t;
  static constexpr bool kOverlaps = false;
  static constexpr int kStride = W + 4;  // both ways of reading meet every bank once
  struct Weights {
    uint32_t a[kSide / 8][4];
  };

  // Rounded on the way, all loads of vectors under way before the first is waited for.
  static __device__ __forceinline__ void stage(Word* to, const Rows<T>& x, const Window& at) {
    constexpr int kUnits = W / 4, kCount = kSide * kUnits;
    const int thread = hidden(int(threadIdx.x));
    const auto put = [&](auto lanes, int row, int column) {
      constexpr int kLanes = decltype(lanes)::value;
      Floats<kLanes> some{};
      if (row < at.count && at.column + column < at.columns) {
        some = load<kLanes>(x.data + (at.first + row) * x.row + at.column + column);
      }
      Vector<Word, kLanes> words;
      KINTSUGI_UNROLL
      for (int k = 0; k < kLanes; ++k) words.at[k] = to_tf32(some.at[k]);
      store(to + row * kStride + column, words);
    };
    if (x.vectors && at.columns % 4 == 0) {
      KINTSUGI_UNROLL
      for (int step = 0; step < kCount / Base::kThreads; ++step) {
        const int i = step * Base::kThreads + thread;
        put(std::integral_constant<int, 4>(), i / kUnits, i % kUnits * 4);
      }
    } else {
      KINTSUGI_ROLL
      for (int i = thread; i < kSide * W; i += Base::kThreads) {
        put(std::integral_constant<int, 1>(), i / W, i % W);
      }
    }
  }

  static __device__ __forceinline__ void dots(Scores& s, const Word* own, const Word* other,
                                              int depth, int) {
    const Word* const left = own + Base::row_of(0) * kStride + Base::t();
    const Word* const right = other + Base::g() * kStride + Base::t();
    KINTSUGI_ROLL
    for (int d = 0; d < depth; d += 8) {
      const uint32_t a[4] = {left[d], left[8 * kStride + d], left[d + 4],
                             left[8 * kStride + d + 4]};
      KINTSUGI_UNROLL
      for (int i = 0; i < Base::kBlocks; ++i) {
        const uint32_t b[2] = {right[i * 8 * kStride + d], right[i * 8 * kStride + d + 4]};
        mma_tf32(s[i], a, b);
      }
    }
  }

  // A thread holds columns 2t and 2t + 1 where the product wants t and t + 4 of its eight: `weigh`
  // reads the rows of x in that order too.
  static __device__ __forceinline__ Weights weights(const Scores& s, float*) {
    Weights out;
    KINTSUGI_UNROLL
    for (int i = 0; i < Base::kBlocks; ++i) {
      out.a[i][0] = to_tf32(s[i][0]);
      out.a[i][1] = to_tf32(s[i][2]);
      out.a[i][2] = to_tf32(s[i][1]);
      out.a[i][3] = to_tf32(s[i][3]);
    }
    return out;
  }
  static __device__ __forceinline__ void weigh(Outs& out, const Weights& weights, const Word* x,
                                               int depth) {
    const Word* const right = x + 2 * Base::t() * kStride + Base::g();
    KINTSUGI_UNROLL
    for (int k = 0; k < kSide / 8; ++k) {
      if (k * 8 >= depth) break;
      KINTSUGI_UNROLL
      for (int i = 0; i < Base::kOutBlocks; ++i) {
        const uint32_t b[2] = {right[k * 8 * kStride + i * 8],
                               right[(k * 8 + 1) * kStride + i * 8]};
        mma_tf32(out[i], weights.a[k], b);
      }
    }
  }
};

// Rows in shared memory begin 16 bytes apart from multiples of 128, so that the eight that ldmatrix
// reads at once lie in different banks.
template <int W>
struct Bf16 : MmaTile<W> {
  using Base = MmaTile<W>;
  using typename Base::Outs;
  using typename Base::Scores;
  using T = BFloat16;
  using Word = BFloat16;
  static constexpr bool kOverlaps = true;
  static constexpr int kStride = W + 8;
  struct Weights {
    uint32_t a[kSide / 16][4];
  };

  static __device__ __forceinline__ void stage(Word* to, const Rows<T>& x, const Window& at) {
    copy_window<W, kStride, Base::kThreads>(to, x, at);
  }

  static __device__ __forceinline__ void dots(Scores& s, const Word* own, const Word* other, int,
                                              int count) {
    const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32;
    const Word* const left = own + (warp * 16 + lane % 16) * kStride + lane / 16 * 8;
    const Word* const right = other + (lane / 16 * 8 + lane % 8) * kStride + lane / 8 % 2 * 8;
    constexpr int kSteps = W / 16 < 4 ? W / 16 : 4;  // of which a thread holds the left operand
    KINTSUGI_UNROLL
    for (int first = 0; first < W; first += kSteps * 16) {
      uint32_t a[kSteps][4];
      KINTSUGI_UNROLL
      for (int d = 0; d < kSteps; ++d) ldmatrix_x4(a[d], shared_at(left + first + d * 16));
      KINTSUGI_UNROLL
      for (int i = 0; i < Base::kBlocks; i += 2) {
        if (Base::beyond(i, count)) break;
        KINTSUGI_UNROLL
        for (int d = 0; d < kSteps; ++d) {
          uint32_t words[4];
          ldmatrix_x4(words, shared_at(right + i * 8 * kStride + first + d * 16));
          mma_bf16(s[i], a[d], {words[0], words[1]});
          mma_bf16(s[i + 1], a[d], {words[2], words[3]});
        }
      }
    }
  }

  static __device__ __forceinline__ Weights weights(const Scores& s, float*) {
    Weights out;
    KINTSUGI_UNROLL
    for (int k = 0; k < kSide / 16; ++k) {
      out.a[k][0] = pack_bf16(s[2 * k][0], s[2 * k][1]);
      out.a[k][1] = pack_bf16(s[2 * k][2], s[2 * k][3]);
      out.a[k][2] = pack_bf16(s[2 * k + 1][0], s[2 * k + 1][1]);
      out.a[k][3] = pack_bf16(s[2 * k + 1][2], s[2 * k + 1][3]);
    }
    return out;
  }
  static __device__ __forceinline__ void weigh(Outs& out, const Weights& weights, const Word* x,
                                               int depth) {
    const int lane = int(threadIdx.x) % 32;
    const Word* const right = x + lane % 16 * kStride + lane / 16 * 8;
    KINTSUGI_UNROLL
    for (int k = 0; k < kSide / 16; ++k) {
      if (k * 16 >= depth) break;
      KINTSUGI_UNROLL
      for (int i = 0; i < Base::kOutBlocks; i += 2) {
        uint32_t words[4];
        ldmatrix_x4_trans(words, shared_at(right + k * 16 * kStride + i * 8));
        mma_bf16(out[i], weights.a[k], {words[0], words[1]});
        mma_bf16(out[i + 1], weights.a[k], {words[2], words[3]});
      }
    }
  }
};

// Words of a window in shared memory.
template <class E>
inline constexpr int kTile = kSide* E::kStride;

template <int kOuter, int kInner>
__device__ __forceinline__ void clear(float (&x)[kOuter][kInner]) {
  KINTSUGI_UNROLL
  for (int i = 0; i < kOuter; ++i) {
    KINTSUGI_UNROLL
    for (int j = 0; j < kInner; ++j) x[i][j] = 0;
  }
}

// Calls stage(step, buffer), which copies to shared memory, and then compute(step, buffer) for
// every step. `ahead`: of two buffers, one is filled while the other is computed with.
template <class Stage, class Compute>
__device__ __forceinline__ void pass(int steps, bool ahead, const Stage& stage,
                                     const Compute& compute) {
  const int lead = ahead ? 1 : 0;
  KINTSUGI_ROLL
  for (int next = 0; next < steps + lead; ++next) {
    if (ahead) wait_async<0>();
    __syncthreads();  // what was computed before has been read
    if (next < steps) {
      stage(next, next % 2 * lead);
      commit_async();
    }
    if (!ahead) {
      wait_async<0>();
      __syncthreads();
    }
    if (next >= lead) compute(next - lead, (next - lead) % 2 * lead);
  }
}

}  // namespace kintsugi::cuda::tiles
