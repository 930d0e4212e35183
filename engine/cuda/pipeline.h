// A block's product of bf16 matrices on the tensor cores, with f32 sums: while one step of kDepth
// terms is multiplied, the next ones are on their way to shared memory. What the operands are,
// loaders say (engine/cuda/conv_bf16.cu). Never installed.
#pragma once

#include "kintsugi/engine/cuda/async.h"
#include "kintsugi/engine/cuda/mma.h"

namespace kintsugi::cuda {

// `kLines` lines of kChunks chunks of 8 elements in shared memory. A line's chunks are exchanged so
// that one chunk of 8 neighbouring lines, and one line's chunks, lie in banks of their own.
template <int kLines, int kChunks>
struct Panel {
  static constexpr int kTurns = kChunks < 8 ? kChunks : 8, kEvery = 8 / kTurns;
  static constexpr int kLineBytes = kChunks * 16, kBytes = kLines * kLineBytes;

  // Lines a multiple of 8 apart have the same.
  __device__ __forceinline__ static int turn(int line) { return line / kEvery % kTurns; }
  __device__ __forceinline__ static int at(int line, int chunk) {
    return line * kLineBytes + (chunk ^ turn(line)) * 16;
  }
};

// kRows by kColumns results of four warps; kBlocks of them are to fit a multiprocessor.
template <int kRows_, int kColumns_, int kWarpsDown, int kBlocks_>
struct Tile {
  static constexpr int kRows = kRows_, kColumns = kColumns_, kBlocks = kBlocks_;
  static constexpr int kThreads = 128, kDepth = 32, kStages = 4;
  static constexpr int kWarpsAcross = 4 / kWarpsDown;
  static constexpr int kWarpRows = kRows / kWarpsDown, kWarpColumns = kColumns / kWarpsAcross;
  static constexpr int kDown = kWarpRows / 16, kAcross = kWarpColumns / 8;

  using Rows = Panel<kRows, kDepth / 8>;        // A, a line a row
  using RowsAcross = Panel<kDepth, kRows / 8>;  // A, a line a term
  using Columns = Panel<kDepth, kColumns / 8>;  // B, a line a term
  static constexpr int kStageBytes = Rows::kBytes + Columns::kBytes;
  static constexpr size_t kBytes = size_t(kStages) * kStageBytes;

  using Sums = float[kDown][kAcross][4];

  __device__ __forceinline__ static int warp_row() {
    return int(threadIdx.x) / 32 / kWarpsAcross * kWarpRows;
  }
  __device__ __forceinline__ static int warp_column() {
    return int(threadIdx.x) / 32 % kWarpsAcross * kWarpColumns;
  }

  // use(row, column, column's sum, its right neighbour's)
  template <class Use>
  __device__ __forceinline__ static void for_each(const Sums& sum, const Use& use) {
    const int row = warp_row() + int(threadIdx.x) % 32 / 4;
    const int column = warp_column() + int(threadIdx.x) % 4 * 2;
    KINTSUGI_UNROLL
    for (int i = 0; i < kDown; ++i) {
      KINTSUGI_UNROLL
      for (int half = 0; half < 2; ++half) {
        KINTSUGI_UNROLL
        for (int j = 0; j < kAcross; ++j) {
          use(row + 16 * i + 8 * half, column + 8 * j, sum[i][j][2 * half],
              sum[i][j][2 * half + 1]);
        }
      }
    }
  }

  // Adds value(column) to every sum of that column.
  template <class Value>
  __device__ __forceinline__ static void add_to_columns(Sums& sum, const Value& value) {
    const int column = warp_column() + int(threadIdx.x) % 4 * 2;
    KINTSUGI_UNROLL
    for (int j = 0; j < kAcross; ++j) {
      const float two[2] = {value(column + 8 * j), value(column + 8 * j + 1)};
      KINTSUGI_UNROLL
      for (int i = 0; i < kDown; ++i) {
        KINTSUGI_UNROLL
        for (int e = 0; e < 4; ++e) sum[i][j][e] += two[e % 2];
      }
    }
  }

  // sum += A B over `steps` steps of kDepth terms. A loader's copy(stage, more) fills its panel
  // with its next step, or with zeros where there is no more, and goes on to the one after.
  // kTurned: A has a line a term. The whole block calls it; shared memory is free again after a
  // barrier.
  template <bool kTurned, class LoadA, class LoadB>
  __device__ __forceinline__ static void multiply(LoadA& load_a, LoadB& load_b, int steps,
                                                  SharedAt shared, Sums& sum) {
    const Fragments<kTurned> fragments;
    int filled = 0, stage = 0;  // the stages to fill and to multiply next
    // Without branches, so that products go on between the copies.
    const auto fill = [&](bool more) {
      load_a.copy(shared + filled * kStageBytes, more);
      load_b.copy(shared + filled * kStageBytes + Rows::kBytes, more);
      commit_async();
      filled = filled + 1 == kStages ? 0 : filled + 1;
    };
    KINTSUGI_UNROLL
    for (int s = 0; s < kStages - 1; ++s) fill(s < steps);
    for (int step = 0; step < steps; ++step) {
      wait_async<kStages - 2>();
      __syncthreads();  // the stage has arrived, and nobody reads the one filled next
      fragments.multiply(shared + stage * kStageBytes, sum,
                         [&] { fill(step + kStages - 1 < steps); });
      stage = stage + 1 == kStages ? 0 : stage + 1;
    }
    wait_async<0>();
  }

 private:
  // Where a lane's rows of the matrices of ldmatrix begin. A step of 16 rows or terms leaves a
  // line's turn as it is, so that what is added to a chunk can be exchanged by the same bits.
  template <bool kTurned>
  struct Fragments {
    using A = std::conditional_t<kTurned, RowsAcross, Rows>;
    int line_a, chunk_a, line_b, chunk_b;

    __device__ __forceinline__ Fragments() {
      const int lane = int(threadIdx.x) % 32;
      const int a = kTurned ? lane % 8 + lane / 16 * 8 : warp_row() + lane % 16;
      line_a = a * A::kLineBytes;
      chunk_a = (kTurned ? warp_row() / 8 + lane / 8 % 2 : lane / 16) ^ A::turn(a);
      line_b = lane % 16 * Columns::kLineBytes;
      chunk_b = (warp_column() / 8 + lane / 16) ^ Columns::turn(lane % 16);
    }

    // `meanwhile` begins when the first fragments have been asked for.
    template <class Work>
    __device__ __forceinline__ void multiply(SharedAt stage, Sums& sum,
                                             const Work& meanwhile) const {
      KINTSUGI_UNROLL
      for (int k = 0; k < kDepth / 16; ++k) {
        uint32_t right[kAcross / 2][4];
        KINTSUGI_UNROLL
        for (int j = 0; j < kAcross / 2; ++j) {
          ldmatrix_x4_trans(right[j], stage + Rows::kBytes + line_b + 16 * k * Columns::kLineBytes +
                                          (chunk_b ^ 2 * j) * 16);
        }
        KINTSUGI_UNROLL
        for (int i = 0; i < kDown; ++i) {
          uint32_t left[4];
          if constexpr (kTurned) {
            ldmatrix_x4_trans(left,
                              stage + line_a + 16 * k * A::kLineBytes + (chunk_a ^ 2 * i) * 16);
          } else {
            ldmatrix_x4(left, stage + line_a + 16 * i * A::kLineBytes + (chunk_a ^ 2 * k) * 16);
          }
          if (k == 0 && i == 0) meanwhile();
          KINTSUGI_UNROLL
          for (int j = 0; j < kAcross; ++j) {
            const uint32_t two[2] = {right[j / 2][j % 2 * 2], right[j / 2][j % 2 * 2 + 1]};
            mma_bf16(sum[i][j], left, two);
          }
        }
      }
    }
  };
};

// A thread's chunks of a panel: the same one of every kApart-th line.
template <int kLines, int kChunks, int kThreads>
struct Share {
  using To = Panel<kLines, kChunks>;
  static constexpr int kApart = kThreads / kChunks;
  static constexpr int kCopies = kLines > kApart ? kLines / kApart : 1;
  static_assert(kApart % 8 == 0 && (kLines % kApart == 0 || kLines < kApart));

  __device__ __forceinline__ static int chunk() { return int(threadIdx.x) % kChunks; }
  __device__ __forceinline__ static int line() { return int(threadIdx.x) / kChunks; }
  __device__ __forceinline__ static bool has() { return kLines >= kApart || line() < kLines; }
  // Of the first of them; of the others a multiple of kStep further.
  __device__ __forceinline__ static int first() { return To::at(line(), chunk()); }
  static constexpr int kStep = kApart * To::kLineBytes;
};

// Lines `stride` elements apart, a line a term; zeros from line `end` on.
template <class Tile, int kWide>
struct LoadLines {
  using My = Share<Tile::kDepth, kWide / 8, Tile::kThreads>;

  const BFloat16* from;
  int64_t stride;
  int at, end, to = My::first();

  // `from`: line `begin` at the panel's first column, of which `columns` are there.
  __device__ __forceinline__ LoadLines(const BFloat16* from_, int64_t stride_, int begin, int end_,
                                       int columns)
      : from(from_ + My::line() * stride_ + My::chunk() * 8),
        stride(stride_),
        at(begin + My::line()),
        end(My::has() && My::chunk() * 8 < columns ? end_ : 0) {}

  __device__ __forceinline__ void copy(SharedAt stage, bool more) {
    if (My::has()) {
      KINTSUGI_UNROLL
      for (int r = 0; r < My::kCopies; ++r) {
        copy_async16<false>(stage + to + r * My::kStep, from + r * My::kApart * stride,
                            more && at + r * My::kApart < end ? 16 : 0);
      }
    }
    from += Tile::kDepth * stride;
    at += Tile::kDepth;
  }
};

}  // namespace kintsugi::cuda
