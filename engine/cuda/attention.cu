#include "kintsugi/engine/cuda/attention.h"

#include <cmath>

#include "kintsugi/engine/cuda/attention_problem.h"

namespace kintsugi::cuda {

using namespace tiles;

namespace {

// A block has 64 queries of one head; keys and values pass by under a running maximum and sum.
template <class E, int kChunks>
__global__ void __launch_bounds__(E::kThreads, (min_blocks<E, kChunks, 1>()))
    attention_kernel(Problem p, int64_t query_tiles, Heads y, float* logsumexp) {
  using Word = typename E::Word;
  constexpr int kWidth = E::kWidth;
  Word* const own = dynamic_shared<Word>();
  Word* const other = own + E::kDepthWords;
  Word* const values = other + E::kDepthWords;
  float* const scratch = reinterpret_cast<float*>(values + E::kRowWords);

  const int64_t head = blockIdx.x / query_tiles, n0 = (blockIdx.x - head * query_tiles) * kSide;
  const int64_t b = head / p.heads, h = head - b * p.heads;
  const int rows = int(p.n - n0 < kSide ? p.n - n0 : kSide);
  const Rows queries = p.q.rows(b, h), keys = p.k.rows(b, h), vectors = p.v.rows(b, h);
  const float* const bias = p.bias.head(b, h);

  float largest[E::kSlots], sum[E::kSlots];
  KINTSUGI_UNROLL
  for (int r = 0; r < E::kSlots; ++r) {
    largest[r] = -INFINITY;
    sum[r] = 0;
  }
  typename E::Outs out[kChunks] = {};

  for (int64_t m0 = 0; m0 < p.m; m0 += kSide) {
    const int columns = int(p.m - m0 < kSide ? p.m - m0 : kSide);
    typename E::Scores s = {};
    for (int c = 0; c < kChunks; ++c) {
      if (c > 0 && c * kWidth >= p.d) break;
      __syncthreads();  // the last tile has been read
      if (kChunks > 1 || m0 == 0) {
        E::stage_depth(own, queries, {n0, rows, c * kWidth, p.d});
      }
      E::stage_depth(other, keys, {m0, columns, c * kWidth, p.d});
      if (c == 0) E::stage_rows(values, vectors, {m0, columns, 0, p.e});
      __syncthreads();
      E::dots(s, own, other, p.d - c * kWidth < kWidth ? p.d - c * kWidth : kWidth);
    }

    float peak[E::kSlots], shift[E::kSlots], shrink[E::kSlots];
    KINTSUGI_UNROLL
    for (int r = 0; r < E::kSlots; ++r) peak[r] = -INFINITY;
    KINTSUGI_UNROLL
    for (int i = 0; i < E::kBlocks; ++i) {
      KINTSUGI_UNROLL
      for (int j = 0; j < E::kInner; ++j) {
        const int row = E::row_of(E::slot(i, j)), column = E::column(i, j);
        float x = -INFINITY;
        if (column < columns) {
          x = p.scale * s[i][j];
          if (bias && row < rows) x += bias[p.bias.at(n0 + row, m0 + column)];
        }
        s[i][j] = x;
        peak[E::slot(i, j)] = fmaxf(peak[E::slot(i, j)], x);  // NaN comes back by way of expf
      }
    }
    KINTSUGI_UNROLL
    for (int r = 0; r < E::kSlots; ++r) {
      KINTSUGI_UNROLL
      for (int bits = E::kLanes / 2; bits > 0; bits /= 2) {
        peak[r] = fmaxf(peak[r], __shfl_xor_sync(kAllLanes, peak[r], bits));
      }
      const float next = fmaxf(largest[r], peak[r]);
      shift[r] = next == -INFINITY ? 0 : next;  // all masked so far: weights of 0, not NaN
      shrink[r] = expf(largest[r] - shift[r]);
      largest[r] = next;
      sum[r] *= shrink[r];
    }
    KINTSUGI_UNROLL
    for (int i = 0; i < E::kBlocks; ++i) {
      KINTSUGI_UNROLL
      for (int j = 0; j < E::kInner; ++j) {
        s[i][j] = expf(s[i][j] - shift[E::slot(i, j)]);
        sum[E::slot(i, j)] += s[i][j];
      }
    }
    const typename E::Weights weights = E::weights(s, scratch);
    KINTSUGI_UNROLL
    for (int c = 0; c < kChunks; ++c) {
      if (c > 0 && c * kWidth >= p.e) break;
      if (c > 0) {
        __syncthreads();
        E::stage_rows(values, vectors, {m0, columns, c * kWidth, p.e});
        __syncthreads();
      }
      KINTSUGI_UNROLL
      for (int i = 0; i < E::kOutBlocks; ++i) {
        KINTSUGI_UNROLL
        for (int j = 0; j < E::kOutInner; ++j) out[c][i][j] *= shrink[E::out_slot(i, j)];
      }
      E::weigh(out[c], weights, values, columns);
    }
  }

  float inverse[E::kSlots];
  KINTSUGI_UNROLL
  for (int r = 0; r < E::kSlots; ++r) {
    KINTSUGI_UNROLL
    for (int bits = E::kLanes / 2; bits > 0; bits /= 2) {
      sum[r] += __shfl_xor_sync(kAllLanes, sum[r], bits);
    }
    inverse[r] = 1 / sum[r];
    const int row = E::row_of(r);
    if (int(threadIdx.x) % E::kLanes == 0 && row < rows) {
      // Nothing but masked keys: NaN, as the definition has it, in y by 0 / 0.
      logsumexp[head * p.n + n0 + row] = largest[r] == -INFINITY ? NAN : largest[r] + logf(sum[r]);
    }
  }
  float* const to = y.at(b, h) + n0 * y.row;
  KINTSUGI_UNROLL
  for (int c = 0; c < kChunks; ++c) {
    KINTSUGI_UNROLL
    for (int i = 0; i < E::kOutBlocks; ++i) {
      KINTSUGI_UNROLL
      for (int j = 0; j < E::kOutInner; ++j) {
        const int row = E::row_of(E::out_slot(i, j)), column = c * kWidth + E::out_column(i, j);
        if (row < rows && column < p.e) {
          to[row * y.row + column] = out[c][i][j] * inverse[E::out_slot(i, j)];
        }
      }
    }
  }
}

}  // namespace

bool attention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& bias, double scale,
               const Tensor& y, const Tensor& logsumexp) {
  if (!takes(q) || !takes(k) || !takes(v)) return false;
  if (logsumexp.numel() == 0) return true;
  const Problem p(q, k, v, bias, scale);
  const int64_t query_tiles = tiles_of(p.n);
  with_engine<1>(std::max(p.d, p.e), [&](auto choice) {
    using E = typename decltype(choice)::Engine;
    constexpr size_t kShared = (2 * E::kDepthWords + E::kRowWords + E::kScratch) * 4;
    launch("attention", attention_kernel<E, decltype(choice)::kCount>,
           unsigned(q.size(0) * p.heads * query_tiles), E::kThreads, kShared, p, query_tiles,
           Heads(y), pointer<float>(logsumexp));
  });
  return true;
}

}  // namespace kintsugi::cuda
