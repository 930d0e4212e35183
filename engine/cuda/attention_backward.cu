#include <cmath>

#include "kintsugi/engine/cuda/attention.h"
#include "kintsugi/engine/cuda/attention_problem.h"

namespace kintsugi::cuda {

using namespace tiles;

namespace {

constexpr const char* kOp = "attention_backward";

// What the forward and the next operator left: dy and, of each query, logsumexp and sum(dy * y).
struct Given {
  Heads dy;
  const float* logsumexp;
  const float* delta;
};

// A warp a query.
__global__ void delta_kernel(int64_t total, int64_t heads, int64_t n, int e, Heads y, Heads dy,
                             float* delta) {
  const int lane = int(threadIdx.x) % 32;
  for (int64_t i = grid_first() / 32; i < total; i += grid_step() / 32) {
    const int64_t head = i / n, row = i - head * n, b = head / heads, h = head - b * heads;
    const float* const out = y.at(b, h) + row * y.row;
    const float* const grad = dy.at(b, h) + row * dy.row;
    float sum = 0;
    for (int j = lane; j < e; j += 32) sum += out[j] * grad[j];
    sum = warp_reduce(sum, Plus());
    if (lane == 0) delta[i] = sum;
  }
}

// Of one tile: s, the products of queries and keys, becomes the weights p; dp, those of dy and
// values, the gradients of the scores, p * (dp - delta). Both are zero beyond rows and columns.
// Rows of the tile are queries, or keys.
template <class E, bool kRowsAreKeys>
__device__ __forceinline__ void differentiate(const Problem& p, const Given& given, int64_t head,
                                              const float* bias, int64_t first_row, int rows,
                                              int64_t first_column, int columns,
                                              typename E::Scores& s, typename E::Scores& dp) {
  const float* const lse = given.logsumexp + head * p.n;
  const float* const delta = given.delta + head * p.n;
  KINTSUGI_UNROLL
  for (int i = 0; i < E::kBlocks; ++i) {
    KINTSUGI_UNROLL
    for (int j = 0; j < E::kInner; ++j) {
      const int row = E::row_of(E::slot(i, j)), column = E::column(i, j);
      float weight = 0, gradient = 0;
      if (row < rows && column < columns) {
        const int64_t query = kRowsAreKeys ? first_column + column : first_row + row;
        const int64_t key = kRowsAreKeys ? first_row + row : first_column + column;
        float x = p.scale * s[i][j];
        if (bias) x += bias[p.bias.at(query, key)];
        weight = expf(x - lse[query]);
        gradient = weight * (dp[i][j] - delta[query]);
      }
      s[i][j] = weight;
      dp[i][j] = gradient;
    }
  }
}

template <class E, int kChunks>
__device__ __forceinline__ void write_rows(const typename E::Outs (&sums)[kChunks], float factor,
                                           const Heads& to, float* at, int64_t first, int rows,
                                           int columns) {
  at += first * to.row;
  KINTSUGI_UNROLL
  for (int c = 0; c < kChunks; ++c) {
    KINTSUGI_UNROLL
    for (int i = 0; i < E::kOutBlocks; ++i) {
      KINTSUGI_UNROLL
      for (int j = 0; j < E::kOutInner; ++j) {
        const int row = E::row_of(E::out_slot(i, j)), column = c * E::kWidth + E::out_column(i, j);
        if (row < rows && column < columns) at[row * to.row + column] = factor * sums[c][i][j];
      }
    }
  }
}

// Shared memory of a tile: x (queries and keys) and z (dy and values) of both sides, packed by
// depth, and those of the other side by rows too.
template <class E>
struct Room {
  using Word = typename E::Word;
  Word *own_x, *own_z, *other_x, *other_z, *rows_x, *rows_z;
  float* scratch;

  static constexpr size_t kBytes =
      (4 * E::kDepthWords + (E::kOnePacking ? 0 : 2 * E::kRowWords) + E::kScratch) * 4;

  __device__ __forceinline__ Room() {
    own_x = dynamic_shared<Word>();
    own_z = own_x + E::kDepthWords;
    other_x = own_z + E::kDepthWords;
    other_z = other_x + E::kDepthWords;
    rows_x = E::kOnePacking ? other_x : other_z + E::kDepthWords;
    rows_z = E::kOnePacking ? other_z : rows_x + E::kRowWords;
    scratch =
        reinterpret_cast<float*>(E::kOnePacking ? other_z + E::kDepthWords : rows_z + E::kRowWords);
  }
};

// The products of one tile, x in s and z in dp. Own rows stay in shared memory where they fit; what
// of the other side is needed by rows is packed on the way (kRowsX, kRowsZ).
template <class E, int kChunks, bool kRowsX, bool kRowsZ>
__device__ __forceinline__ void multiply(const Problem& p, const Room<E>& room, bool stage_own,
                                         const Rows& own_x, const Rows& own_z, const Rows& other_x,
                                         const Rows& other_z, int64_t first_row, int rows,
                                         int64_t first_column, int columns, typename E::Scores& s,
                                         typename E::Scores& dp) {
  constexpr int kWidth = E::kWidth;
  if constexpr (kChunks == 1) {
    __syncthreads();  // the last tile has been read
    if (stage_own) {
      E::stage_depth(room.own_x, own_x, {first_row, rows, 0, p.d});
      E::stage_depth(room.own_z, own_z, {first_row, rows, 0, p.e});
    }
    E::stage_depth(room.other_x, other_x, {first_column, columns, 0, p.d});
    E::stage_depth(room.other_z, other_z, {first_column, columns, 0, p.e});
    if constexpr (!E::kOnePacking && kRowsX) {
      E::stage_rows(room.rows_x, other_x, {first_column, columns, 0, p.d});
    }
    if constexpr (!E::kOnePacking && kRowsZ) {
      E::stage_rows(room.rows_z, other_z, {first_column, columns, 0, p.e});
    }
    __syncthreads();
    E::dots(s, room.own_x, room.other_x, p.d);
    E::dots(dp, room.own_z, room.other_z, p.e);
  } else {
    for (int c = 0; c < kChunks; ++c) {
      const int left_d = p.d - c * kWidth, left_e = p.e - c * kWidth;
      if (left_d <= 0 && left_e <= 0) break;
      __syncthreads();
      if (left_d > 0) {
        E::stage_depth(room.own_x, own_x, {first_row, rows, c * kWidth, p.d});
        E::stage_depth(room.other_x, other_x, {first_column, columns, c * kWidth, p.d});
      }
      if (left_e > 0) {
        E::stage_depth(room.own_z, own_z, {first_row, rows, c * kWidth, p.e});
        E::stage_depth(room.other_z, other_z, {first_column, columns, c * kWidth, p.e});
      }
      __syncthreads();
      E::dots(s, room.own_x, room.other_x, left_d < kWidth ? left_d : kWidth);
      E::dots(dp, room.own_z, room.other_z, left_e < kWidth ? left_e : kWidth);
    }
  }
}

// sums += weights times the rows of the other side, which lie packed where there is one chunk.
template <class E, int kChunks>
__device__ __forceinline__ void weigh_rows(typename E::Outs (&sums)[kChunks],
                                           const typename E::Weights& weights,
                                           typename E::Word* packed, const Rows& x, int64_t first,
                                           int count, int columns) {
  KINTSUGI_UNROLL
  for (int c = 0; c < kChunks; ++c) {
    if (c > 0 && c * E::kWidth >= columns) break;
    if constexpr (kChunks > 1) {
      __syncthreads();
      E::stage_rows(packed, x, {first, count, c * E::kWidth, columns});
      __syncthreads();
    }
    E::weigh(sums[c], weights, packed, count);
  }
}

// A block has 64 keys of one head, the queries pass by: dk = scale ds^T q, dv = p^T dy.
template <class E, int kChunks>
__global__ void __launch_bounds__(E::kThreads, (min_blocks<E, kChunks, 2>()))
    keys_kernel(Problem p, Given given, int64_t key_tiles, Heads dk, Heads dv) {
  const Room<E> room;
  const int64_t head = blockIdx.x / key_tiles, m0 = (blockIdx.x - head * key_tiles) * kSide;
  const int64_t b = head / p.heads, h = head - b * p.heads;
  const int rows = int(p.m - m0 < kSide ? p.m - m0 : kSide);
  const Rows queries = p.q.rows(b, h), grads = given.dy.rows(b, h);
  const Rows keys = p.k.rows(b, h), values = p.v.rows(b, h);
  const float* const bias = p.bias.head(b, h);
  typename E::Outs x_sums[kChunks] = {}, z_sums[kChunks] = {};
  for (int64_t n0 = 0; n0 < p.n; n0 += kSide) {
    const int columns = int(p.n - n0 < kSide ? p.n - n0 : kSide);
    typename E::Scores s = {}, dp = {};
    multiply<E, kChunks, true, true>(p, room, n0 == 0, keys, values, queries, grads, m0, rows, n0,
                                     columns, s, dp);
    differentiate<E, true>(p, given, head, bias, m0, rows, n0, columns, s, dp);
    weigh_rows<E, kChunks>(z_sums, E::weights(s, room.scratch), room.rows_z, grads, n0, columns,
                           p.e);
    weigh_rows<E, kChunks>(x_sums, E::weights(dp, room.scratch), room.rows_x, queries, n0, columns,
                           p.d);
  }
  write_rows<E, kChunks>(x_sums, p.scale, dk, dk.at(b, h), m0, rows, p.d);
  write_rows<E, kChunks>(z_sums, 1, dv, dv.at(b, h), m0, rows, p.e);
}

// A block has 64 queries of one head, the keys pass by: dq = scale ds k. dbias, where each of its
// elements belongs to one score.
template <class E, int kChunks>
__global__ void __launch_bounds__(E::kThreads, (min_blocks<E, kChunks, 1>()))
    queries_kernel(Problem p, Given given, int64_t query_tiles, Heads dq, Plane dbias) {
  const Room<E> room;
  const int64_t head = blockIdx.x / query_tiles, n0 = (blockIdx.x - head * query_tiles) * kSide;
  const int64_t b = head / p.heads, h = head - b * p.heads;
  const int rows = int(p.n - n0 < kSide ? p.n - n0 : kSide);
  const Rows queries = p.q.rows(b, h), grads = given.dy.rows(b, h);
  const Rows keys = p.k.rows(b, h), values = p.v.rows(b, h);
  const float* const bias = p.bias.head(b, h);
  float* const bias_grad = dbias.head(b, h);
  typename E::Outs sums[kChunks] = {};
  for (int64_t m0 = 0; m0 < p.m; m0 += kSide) {
    const int columns = int(p.m - m0 < kSide ? p.m - m0 : kSide);
    typename E::Scores s = {}, dp = {};
    multiply<E, kChunks, true, false>(p, room, m0 == 0, queries, grads, keys, values, n0, rows, m0,
                                      columns, s, dp);
    differentiate<E, false>(p, given, head, bias, n0, rows, m0, columns, s, dp);
    if (bias_grad) {
      KINTSUGI_UNROLL
      for (int i = 0; i < E::kBlocks; ++i) {
        KINTSUGI_UNROLL
        for (int j = 0; j < E::kInner; ++j) {
          const int row = E::row_of(E::slot(i, j)), column = E::column(i, j);
          if (row < rows && column < columns) {
            bias_grad[dbias.at(n0 + row, m0 + column)] = dp[i][j];
          }
        }
      }
    }
    weigh_rows<E, kChunks>(sums, E::weights(dp, room.scratch), room.rows_x, keys, m0, columns, p.d);
  }
  write_rows<E, kChunks>(sums, p.scale, dq, dq.at(b, h), n0, rows, p.d);
}

// --- dbias where several scores share an element ---

// Over (batch, heads, tiles of queries, tiles of keys): a block keeps one tile of bias and goes
// through its share of the tiles that are summed into it, always in this order.
struct Shared {
  int64_t kept[4], summed[4];  // extents: one of the two is 1
  int64_t tiles, items, splits;
  bool sums_queries, sums_keys;
  int64_t n, m;  // extents of bias

  Shared(const Problem& p, int64_t batch, const Tensor& dbias) {
    const int64_t extents[4] = {batch, p.heads, tiles_of(p.n), tiles_of(p.m)};
    bool sums[4];
    tiles = items = 1;
    for (int i = 0; i < 4; ++i) {
      sums[i] = dbias.size(i) > 1 && dbias.strides()[i] == 0;
      kept[i] = sums[i] ? 1 : extents[i];
      summed[i] = sums[i] ? extents[i] : 1;
      tiles *= kept[i];
      items *= summed[i];
    }
    sums_queries = sums[2];
    sums_keys = sums[3];
    n = sums_queries ? 1 : p.n;
    m = sums_keys ? 1 : p.m;
    constexpr int64_t kBlocks = 1024;  // enough for every device, and the same sums on all
    splits = std::clamp<int64_t>(kBlocks / tiles, 1, items);
  }
  int64_t elements() const { return kept[0] * kept[1] * n * m; }
};

__device__ __forceinline__ void split_index(int64_t index, const int64_t (&extents)[4],
                                            int64_t (&at)[4]) {
  for (int i = 3; i >= 0; --i) {
    at[i] = index % extents[i];
    index /= extents[i];
  }
}

// partial (splits, batch or 1, heads or 1, n or 1, m or 1).
template <class E, int kChunks>
__global__ void __launch_bounds__(E::kThreads, (min_blocks<E, kChunks, 1>()))
    bias_kernel(Problem p, Given given, Shared shared, float* partial) {
  const Room<E> room;
  const int64_t split = blockIdx.x % shared.splits;
  int64_t kept[4], at[4];
  split_index(blockIdx.x / shared.splits, shared.kept, kept);
  typename E::Scores total = {};
  const int64_t end = (split + 1) * shared.items / shared.splits;
  for (int64_t item = split * shared.items / shared.splits; item < end; ++item) {
    split_index(item, shared.summed, at);
    const int64_t b = kept[0] + at[0], h = kept[1] + at[1];  // one of the two is 0
    const int64_t n0 = (kept[2] + at[2]) * kSide, m0 = (kept[3] + at[3]) * kSide;
    const int rows = int(p.n - n0 < kSide ? p.n - n0 : kSide);
    const int columns = int(p.m - m0 < kSide ? p.m - m0 : kSide);
    typename E::Scores s = {}, dp = {};
    multiply<E, kChunks, false, false>(p, room, true, p.q.rows(b, h), given.dy.rows(b, h),
                                       p.k.rows(b, h), p.v.rows(b, h), n0, rows, m0, columns, s,
                                       dp);
    differentiate<E, false>(p, given, b * p.heads + h, p.bias.head(b, h), n0, rows, m0, columns, s,
                            dp);
    KINTSUGI_UNROLL
    for (int i = 0; i < E::kBlocks; ++i) {
      KINTSUGI_UNROLL
      for (int j = 0; j < E::kInner; ++j) total[i][j] += dp[i][j];
    }
  }

  float* const tile = dynamic_shared<float>();  // (64,65)
  __syncthreads();
  KINTSUGI_UNROLL
  for (int i = 0; i < E::kBlocks; ++i) {
    KINTSUGI_UNROLL
    for (int j = 0; j < E::kInner; ++j) {
      tile[E::row_of(E::slot(i, j)) * (kSide + 1) + E::column(i, j)] = total[i][j];
    }
  }
  __syncthreads();
  const int thread = int(threadIdx.x);
  if (shared.sums_keys) {
    if (thread < kSide) {
      float sum = 0;
      for (int j = 0; j < kSide; ++j) sum += tile[thread * (kSide + 1) + j];
      tile[thread * (kSide + 1)] = sum;
    }
    __syncthreads();
  }
  if (shared.sums_queries) {
    if (thread < kSide) {
      float sum = 0;
      for (int i = 0; i < kSide; ++i) sum += tile[i * (kSide + 1) + thread];
      tile[thread] = sum;
    }
    __syncthreads();
  }
  const int64_t n0 = kept[2] * kSide, m0 = kept[3] * kSide;
  float* const to = partial + ((split * shared.kept[0] + kept[0]) * shared.kept[1] + kept[1]) *
                                  shared.n * shared.m;
  for (int i = thread; i < kSide * kSide; i += E::kThreads) {
    const int row = i / kSide, column = i % kSide;
    if (n0 + row < shared.n && m0 + column < shared.m) {
      to[(n0 + row) * shared.m + m0 + column] = tile[row * (kSide + 1) + column];
    }
  }
}

__global__ void bias_sums_kernel(Shared shared, int64_t elements, const float* partial,
                                 Plane dbias) {
  const int64_t extents[4] = {shared.kept[0], shared.kept[1], shared.n, shared.m};
  for (int64_t i = grid_first(); i < elements; i += grid_step()) {
    double sum = 0;
    for (int64_t split = 0; split < shared.splits; ++split) sum += partial[split * elements + i];
    int64_t at[4];
    split_index(i, extents, at);
    dbias.head(at[0], at[1])[dbias.at(at[2], at[3])] = float(sum);
  }
}

}  // namespace

bool attention_backward(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& bias,
                        double scale, const Tensor& y, const Tensor& logsumexp, const Tensor& dy,
                        const Tensor& dq, const Tensor& dk, const Tensor& dv, const Tensor& dbias) {
  for (const Tensor* x : {&q, &k, &v, &y, &dy}) {
    if (!takes(*x)) return false;
  }
  const Problem p(q, k, v, bias, scale);
  const int64_t heads = q.size(0) * p.heads, queries = heads * p.n;
  if (heads == 0) return true;
  const Tensor delta = Tensor::empty(logsumexp.shape(), DType::kF32, q.device());
  const Given given{Heads(dy), pointer<float>(logsumexp), pointer<float>(delta)};
  if (queries > 0) {
    launch(kOp, delta_kernel, blocks_for(queries, kThreads / 32), kThreads, 0, queries, p.heads,
           p.n, p.e, Heads(y), given.dy, pointer<float>(delta));
  }
  const int width = std::max(p.d, p.e);
  with_engine<2>(width, [&](auto choice) {
    using E = typename decltype(choice)::Engine;
    constexpr int kChunks = decltype(choice)::kCount;
    launch(kOp, keys_kernel<E, kChunks>, unsigned(heads * tiles_of(p.m)), E::kThreads,
           Room<E>::kBytes, p, given, tiles_of(p.m), Heads(dk), Heads(dv));
  });
  if (queries == 0) return true;

  Plane direct{Tensor()};
  if (dbias.defined()) {
    const Shared shared(p, q.size(0), dbias);
    if (shared.items == 1 && !shared.sums_queries && !shared.sums_keys) {
      direct = Plane(dbias);
    } else {
      const Tensor partial =
          Tensor::empty({shared.splits, shared.elements()}, DType::kF32, q.device());
      with_engine<2>(width, [&](auto choice) {
        using E = typename decltype(choice)::Engine;
        launch(kOp, bias_kernel<E, decltype(choice)::kCount>,
               unsigned(shared.tiles * shared.splits), E::kThreads, Room<E>::kBytes, p, given,
               shared, pointer<float>(partial));
      });
      launch(kOp, bias_sums_kernel, blocks_for(shared.elements()), kThreads, 0, shared,
             shared.elements(), pointer<float>(partial), Plane(dbias));
    }
  }
  with_engine<2>(width, [&](auto choice) {
    using E = typename decltype(choice)::Engine;
    launch(kOp, queries_kernel<E, decltype(choice)::kCount>, unsigned(heads * tiles_of(p.n)),
           E::kThreads, Room<E>::kBytes, p, given, tiles_of(p.n), Heads(dq), direct);
  });
  return true;
}

}  // namespace kintsugi::cuda
