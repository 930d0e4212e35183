// What the attention kernels are made of: tiles of 64 queries and 64 keys, and three engines that
// multiply them (f32 multiply-adds, TF32 and BF16 tensor cores). Only .cu files include it. Never
// installed.
//
// An engine holds `scores`, a tile of rows x columns, spread over the threads of a block, and
// `outs`, rows x kWidth elements of a sum. Matrices come to it through shared memory, kWidth
// columns at a time, in two packings that some engines tell apart: by depth, for products that
// contract columns, and by rows, for products that contract rows.
#pragma once

#include "kintsugi/engine/cuda/block.h"
#include "kintsugi/engine/cuda/mma.h"

// Loops over a thread's registers are unrolled; loops over depth are not, where one round has work
// enough to hide what it waits for.
#ifdef KINTSUGI_SIMT_EMULATED
#define KINTSUGI_UNROLL
#define KINTSUGI_ROLL
#else
#define KINTSUGI_UNROLL _Pragma("unroll")
#define KINTSUGI_ROLL _Pragma("unroll 1")
#endif

namespace kintsugi::cuda::tiles {

inline constexpr int kSide = 64;  // rows and columns of a tile of scores

// A matrix in memory with unit steps along its rows; `vectors`: rows begin at multiples of 16
// bytes.
struct Rows {
  const float* data;
  int64_t row;
  bool vectors;
};

// Rows first ... first + count - 1 and columns column ... column + kWidth - 1 of a matrix of
// `columns` columns.
struct Window {
  int64_t first;
  int count, column, columns;
};

// Four neighbours of row `row` of a window from its column `column` on; zero outside the matrix.
template <bool kVectors>
__device__ __forceinline__ float4 four_of(const Rows& x, const Window& at, int row, int column) {
  column += at.column;
  float4 four = make_float4(0, 0, 0, 0);
  if (row >= at.count || column >= at.columns) return four;
  const float* const from = x.data + (at.first + row) * x.row + column;
  if constexpr (kVectors) return *reinterpret_cast<const float4*>(from);
  four.x = from[0];
  if (column + 1 < at.columns) four.y = from[1];
  if (column + 2 < at.columns) four.z = from[2];
  if (column + 3 < at.columns) four.w = from[3];
  return four;
}

// Calls store(kVectors, i) for i in [0, count) of this thread: all loads of vectors are under way
// before the first is waited for.
template <int kCount, int kThreads, class Store>
__device__ __forceinline__ void each_store(const Rows& x, const Window& at, const Store& store) {
  if (x.vectors && at.columns % 4 == 0) {
    KINTSUGI_UNROLL
    for (int step = 0; step < kCount / kThreads; ++step) {
      store(std::true_type(), step * kThreads + int(threadIdx.x));
    }
  } else {
    KINTSUGI_ROLL
    for (int i = int(threadIdx.x); i < kCount; i += kThreads) store(std::false_type(), i);
  }
}

// Calls store(row, column, its four elements) over a window.
template <int kWidth, int kThreads, class Store>
__device__ __forceinline__ void each_four(const Rows& x, const Window& at, const Store& store) {
  each_store<kSide * kWidth / 4, kThreads>(x, at, [&](auto vectors, int i) {
    const int row = i / (kWidth / 4), column = i % (kWidth / 4) * 4;
    store(row, column, four_of<decltype(vectors)::value>(x, at, row, column));
  });
}

// Multiply-adds in f32: 16 x 16 threads, each with 4 rows side by side and every 16th column.
template <int W>
struct Fma {
  using Word = float;
  static constexpr int kThreads = 256, kWidth = W;
  static constexpr int kStride = W + 4;  // rows in shared memory begin in different banks
  static constexpr int kDepthWords = kSide * kStride, kRowWords = kDepthWords;
  static constexpr bool kOnePacking = true;
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

  static __device__ __forceinline__ void stage_depth(Word* to, const Rows& x, const Window& at) {
    each_four<W, kThreads>(x, at, [&](int row, int column, float4 four) {
      *reinterpret_cast<float4*>(to + row * kStride + column) = four;
    });
  }
  static __device__ __forceinline__ void stage_rows(Word* to, const Rows& x, const Window& at) {
    stage_depth(to, x, at);
  }

  // s(i,j) += row i of own times row j of other, over `depth` columns.
  static __device__ __forceinline__ void dots(Scores& s, const Word* own, const Word* other,
                                              int depth) {
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
        if constexpr (kOutInner == 4) {
          const float4 four = *reinterpret_cast<const float4*>(right + (k + kk) * kStride);
          v[0] = four.x;
          v[1] = four.y;
          v[2] = four.z;
          v[3] = four.w;
        } else {
          const float2 two = *reinterpret_cast<const float2*>(right + (k + kk) * kStride);
          v[0] = two.x;
          v[1] = two.y;
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
  using Word = uint32_t;
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
};

template <int W>
struct Tf32 : MmaTile<W> {
  using Base = MmaTile<W>;
  using typename Base::Outs;
  using typename Base::Scores;
  using typename Base::Word;
  static constexpr int kStride = W + 4;  // both ways of reading meet every bank once
  static constexpr int kDepthWords = kSide * kStride, kRowWords = kDepthWords;
  static constexpr bool kOnePacking = true;
  struct Weights {
    uint32_t a[kSide / 8][4];
  };

  static __device__ __forceinline__ void stage_depth(Word* to, const Rows& x, const Window& at) {
    each_four<W, Base::kThreads>(x, at, [&](int row, int column, float4 four) {
      *reinterpret_cast<uint4*>(to + row * kStride + column) =
          uint4{to_tf32(four.x), to_tf32(four.y), to_tf32(four.z), to_tf32(four.w)};
    });
  }
  static __device__ __forceinline__ void stage_rows(Word* to, const Rows& x, const Window& at) {
    stage_depth(to, x, at);
  }

  static __device__ __forceinline__ void dots(Scores& s, const Word* own, const Word* other,
                                              int depth) {
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

template <int W>
struct Bf16 : MmaTile<W> {
  using Base = MmaTile<W>;
  using typename Base::Outs;
  using typename Base::Scores;
  using typename Base::Word;
  static constexpr int kStride = W / 2 + 8;  // by depth: a word is two neighbours of a row
  static constexpr int kRowStride = W + 8;   // by rows: a word is two neighbours of a column
  static constexpr int kDepthWords = kSide * kStride, kRowWords = kSide / 2 * kRowStride;
  static constexpr bool kOnePacking = false;
  struct Weights {
    uint32_t a[kSide / 16][4];
  };

  static __device__ __forceinline__ void stage_depth(Word* to, const Rows& x, const Window& at) {
    each_four<W, Base::kThreads>(x, at, [&](int row, int column, float4 four) {
      *reinterpret_cast<uint2*>(to + row * kStride + column / 2) =
          uint2{pack_bf16(four.x, four.y), pack_bf16(four.z, four.w)};
    });
  }
  static __device__ __forceinline__ void stage_rows(Word* to, const Rows& x, const Window& at) {
    each_store<kSide * W / 8, Base::kThreads>(x, at, [&](auto vectors, int i) {
      constexpr bool kVectors = decltype(vectors)::value;
      const int pair = i / (W / 4), column = i % (W / 4) * 4;
      const float4 low = four_of<kVectors>(x, at, 2 * pair, column);
      const float4 high = four_of<kVectors>(x, at, 2 * pair + 1, column);
      *reinterpret_cast<uint4*>(to + pair * kRowStride + column) =
          uint4{pack_bf16(low.x, high.x), pack_bf16(low.y, high.y), pack_bf16(low.z, high.z),
                pack_bf16(low.w, high.w)};
    });
  }

  // Words 2t and 2t + 1 of each eight stand for t and t + 4, on both sides: one load for the two.
  static __device__ __forceinline__ void dots(Scores& s, const Word* own, const Word* other,
                                              int depth) {
    const Word* const left = own + Base::row_of(0) * kStride + 2 * Base::t();
    const Word* const right = other + Base::g() * kStride + 2 * Base::t();
    KINTSUGI_ROLL
    for (int d = 0; d < depth; d += 16) {
      const uint2 low = *reinterpret_cast<const uint2*>(left + d / 2);
      const uint2 high = *reinterpret_cast<const uint2*>(left + 8 * kStride + d / 2);
      const uint32_t a[4] = {low.x, high.x, low.y, high.y};
      KINTSUGI_UNROLL
      for (int i = 0; i < Base::kBlocks; ++i) {
        const uint2 two = *reinterpret_cast<const uint2*>(right + i * 8 * kStride + d / 2);
        const uint32_t b[2] = {two.x, two.y};
        mma_bf16(s[i], a, b);
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
    const Word* const right = x + Base::t() * kRowStride + Base::g();
    KINTSUGI_UNROLL
    for (int k = 0; k < kSide / 16; ++k) {
      if (k * 16 >= depth) break;
      KINTSUGI_UNROLL
      for (int i = 0; i < Base::kOutBlocks; ++i) {
        const uint32_t b[2] = {right[k * 8 * kRowStride + i * 8],
                               right[(k * 8 + 4) * kRowStride + i * 8]};
        mma_bf16(out[i], weights.a[k], b);
      }
    }
  }
};

// Blocks that a multiprocessor is to hold, so that some multiply while others load: as many as
// leave registers for kSums sums of one chunk.
template <class E, int kChunks, int kSums>
constexpr int min_blocks() {
  if (kChunks > 1) return 1;
  return E::kThreads == 256 ? 2 : (E::kWidth == 32 ? 5 : 4) - kSums;
}

}  // namespace kintsugi::cuda::tiles
