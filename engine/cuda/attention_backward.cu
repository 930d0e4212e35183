#include <cmath>

#include "kintsugi/engine/cuda/attention.h"
#include "kintsugi/engine/cuda/attention_problem.h"

namespace kintsugi::cuda {

using namespace tiles;

namespace {

constexpr const char* kOp = "attention_backward";

// What the forward and the next operator left: dy and, of each query, the binary logarithm of the
// sum of exponentials and sum(dy * y), kSide to a tile; those past the last query give no weight.
template <class T>
struct Given {
  Heads<T> dy;
  const float2* statistics;
};

// A warp a query.
template <class T>
__global__ void statistics_kernel(int64_t total, int64_t heads, int64_t n, int64_t padded, int e,
                                  Heads<T> y, Heads<T> dy, const float* logsumexp,
                                  float2* statistics) {
  const int lane = int(threadIdx.x) % 32;
  for (int64_t i = grid_first() / 32; i < total; i += grid_step() / 32) {
    const int64_t head = i / padded, row = i - head * padded, b = head / heads,
                  h = head - b * heads;
    float2 two = make_float2(INFINITY, 0);
    if (row < n) {
      const T* const out = y.at(b, h) + row * y.row;
      const T* const grad = dy.at(b, h) + row * dy.row;
      float sum = 0;
      for (int j = lane; j < e; j += 32) sum += widen(out[j]) * widen(grad[j]);
      two = make_float2(kLog2E * logsumexp[head * n + row], warp_reduce(sum, Plus()));
    }
    if (lane == 0) statistics[i] = two;
  }
}

// Shared memory: x (queries and keys) and z (dy and values) of the block's own side, those of the
// other one for one or two steps, with the statistics where that side are queries.
template <class E>
struct Room {
  using Word = typename E::Word;
  float2* statistics;
  Word *own_x, *own_z, *passing;
  float* scratch;  // where no steps overlap

  static constexpr size_t bytes(bool ahead) {
    return 2 * kSide * sizeof(float2) + (ahead ? 6 : 4) * kTile<E> * sizeof(Word) +
           E::kScratch * sizeof(float);
  }

  __device__ __forceinline__ Room() {
    statistics = dynamic_shared<float2>();
    own_x = reinterpret_cast<Word*>(statistics + 2 * kSide);
    own_z = own_x + kTile<E>;
    passing = own_z + kTile<E>;
    scratch = reinterpret_cast<float*>(passing + 2 * kTile<E>);
  }
  __device__ __forceinline__ Word* other_x(int buffer) const {
    return passing + buffer * 2 * kTile<E>;
  }
  __device__ __forceinline__ Word* other_z(int buffer) const { return other_x(buffer) + kTile<E>; }
};

// Tiles first_tile ... first_tile + tiles - 1 of the other side pass by the block's rows, which are
// queries or keys. Calls each(weights, gradients of the scores, first column, columns, buffer); the
// last chunk that lies in shared memory then is the block's part.
template <class E, bool kRowsAreKeys, class Each>
__device__ __forceinline__ void pass_tiles(const Problem<typename E::T>& p,
                                           const Given<typename E::T>& given, const Room<E>& room,
                                           const Place& at, int first_tile, int tiles, bool ahead,
                                           const Each& each) {
  constexpr int kWidth = E::kWidth;
  const int64_t others = kRowsAreKeys ? p.n : p.m;
  const float2* const statistics = given.statistics + at.head * tiles_of(p.n) * kSide;
  const int chunks = chunks_of<E>(p.d > p.e ? p.d : p.e);
  const bool busy = E::has_rows(at.rows);

  float2 own[E::kSlots];
  KINTSUGI_UNROLL
  for (int r = 0; r < E::kSlots; ++r) {
    own[r] = kRowsAreKeys ? make_float2(0, 0) : statistics[at.first + E::row_of(r)];
  }
  typename E::Scores s, dp;
  const auto first_of = [&](int tile) { return int64_t(first_tile + tile) * kSide; };
  const auto count_of = [&](int64_t first) {
    return int(others - first < kSide ? others - first : kSide);
  };
  const auto stage = [&](int step, int buffer) {
    const int tile = step / chunks, c = step - tile * chunks;
    const int column = (at.part + 1 + c) % chunks * kWidth;
    const int64_t first = first_of(tile);
    const int columns = count_of(first), b = hidden(at.b), h = hidden(at.h);
    const auto queries = p.q.rows(b, h), keys = p.k.rows(b, h);
    const auto grads = given.dy.rows(b, h), values = p.v.rows(b, h);
    const auto& own_x = kRowsAreKeys ? keys : queries;
    const auto& own_z = kRowsAreKeys ? values : grads;
    const auto& other_x = kRowsAreKeys ? queries : keys;
    const auto& other_z = kRowsAreKeys ? grads : values;
    if (step == 0 || chunks > 1) {
      E::stage(room.own_x, own_x, {at.first, at.rows, column, p.d});
      E::stage(room.own_z, own_z, {at.first, at.rows, column, p.e});
    }
    E::stage(room.other_x(buffer), other_x, {first, columns, column, p.d});
    E::stage(room.other_z(buffer), other_z, {first, columns, column, p.e});
    if (kRowsAreKeys && int(threadIdx.x) < kSide / 2) {
      const int i = int(threadIdx.x) * 2;
      copy_async16(shared_at(room.statistics + buffer * kSide + i), statistics + first + i, 16);
    }
  };
  pass(chunks * tiles, ahead, stage, [&](int step, int buffer) {
    if (!busy) return;
    const int tile = step / chunks, c = step - tile * chunks;
    const int column = (at.part + 1 + c) % chunks * kWidth;
    const int64_t first = first_of(tile);
    const int columns = count_of(first);
    if (c == 0) {
      clear(s);
      clear(dp);
    }
    const auto depth = [&](int width) { return width - column < kWidth ? width - column : kWidth; };
    E::dots(s, room.own_x, room.other_x(buffer), depth(p.d), columns);
    E::dots(dp, room.own_z, room.other_z(buffer), depth(p.e), columns);
    if (c + 1 < chunks) return;

    // s becomes the weights, dp the gradients of the scores.
    Plane::Patch bias = kRowsAreKeys ? p.bias.patch(at.b, at.h, first, at.first)
                                     : p.bias.patch(at.b, at.h, at.first, first);
    if (kRowsAreKeys) bias = {bias.at, bias.column, bias.row};
    score<E>(s, p.scale, bias, at.rows, columns);
    KINTSUGI_UNROLL
    for (int i = 0; i < E::kBlocks; ++i) {
      if (E::beyond(i, columns)) break;
      KINTSUGI_UNROLL
      for (int j = 0; j < E::kInner; ++j) {
        const int other = E::column(i, j);
        const float2 of =
            kRowsAreKeys ? room.statistics[buffer * kSide + other] : own[E::slot(i, j)];
        s[i][j] = power_of_two(s[i][j] - of.x);
        dp[i][j] = s[i][j] * (dp[i][j] - of.y);
      }
    }
    each(s, dp, first, columns, buffer);
  });
}

template <class E>
struct Factors {
  float of[E::kSlots];
  __device__ __forceinline__ explicit Factors(float all) {
    KINTSUGI_UNROLL
    for (int r = 0; r < E::kSlots; ++r) of[r] = all;
  }
};

// Blocks that a multiprocessor is to hold, where a thread keeps kSums sums.
template <class E, int kSums>
constexpr int kResident = E::kWidth == kMaxWidth          ? 1
                          : E::kThreads == 256            ? 2
                          : E::kWidth == 32 && kSums == 1 ? 4
                                                          : 3;

// A block has 64 keys of one head, the queries pass by: dk = scale ds^T q, dv = p^T dy.
template <class E>
__global__ void __launch_bounds__(E::kThreads, (kResident<E, 2>))
    keys_kernel(Problem<typename E::T> p, Given<typename E::T> given, bool ahead,
                Heads<typename E::T> dk, Heads<typename E::T> dv) {
  const Room<E> room;
  const Place at(chunks_of<E>(p.d > p.e ? p.d : p.e), tiles_of(p.m), p.heads, p.m);
  typename E::Outs x_sums = {}, z_sums = {};
  pass_tiles<E, true>(
      p, given, room, at, 0, tiles_of(p.n), ahead,
      [&](const auto& s, const auto& dp, int64_t, int columns, int buffer) {
        E::weigh(z_sums, E::weights(s, room.scratch), room.other_z(buffer), columns);
        E::weigh(x_sums, E::weights(dp, room.scratch), room.other_x(buffer), columns);
      });
  write_rows<E>(x_sums, Factors<E>(p.scale).of, dk, at, p.d);
  write_rows<E>(z_sums, Factors<E>(1).of, dv, at, p.e);
}

// A block has 64 queries of one head, the keys pass by: dq = scale ds k. dbias, where each of its
// elements belongs to one score.
template <class E>
__global__ void __launch_bounds__(E::kThreads, (kResident<E, 1>))
    queries_kernel(Problem<typename E::T> p, Given<typename E::T> given, bool ahead,
                   Heads<typename E::T> dq, Plane dbias) {
  const Room<E> room;
  const Place at(chunks_of<E>(p.d > p.e ? p.d : p.e), tiles_of(p.n), p.heads, p.n);
  typename E::Outs sums = {};
  pass_tiles<E, false>(p, given, room, at, 0, tiles_of(p.m), ahead,
                       [&](const auto&, const auto& dp, int64_t first, int columns, int buffer) {
                         const Plane::Patch bias_grad = dbias.patch(at.b, at.h, at.first, first);
                         if (at.part == 0 && bias_grad.at) {
                           KINTSUGI_UNROLL
                           for (int i = 0; i < E::kBlocks; ++i) {
                             KINTSUGI_UNROLL
                             for (int j = 0; j < E::kInner; ++j) {
                               const int row = E::row_of(E::slot(i, j)), column = E::column(i, j);
                               if (row < at.rows && column < columns) {
                                 bias_grad(row, column) = dp[i][j];
                               }
                             }
                           }
                         }
                         E::weigh(sums, E::weights(dp, room.scratch), room.other_x(buffer),
                                  columns);
                       });
  write_rows<E>(sums, Factors<E>(p.scale).of, dq, at, p.d);
}

// --- dbias where several scores share an element ---

// Over (batch, heads, tiles of queries, tiles of keys): a block keeps one tile of bias and goes
// through its share of the tiles that are summed into it, always in this order.
struct Shared {
  int64_t kept[4], summed[4];  // extents: one of the two is 1
  int64_t tiles, items, splits;
  bool sums_queries, sums_keys;
  int64_t n, m;  // extents of bias

  Shared(const Shape& scores, const Tensor& dbias) {
    const int64_t extents[4] = {scores[0], scores[1], tiles_of(scores[2]), tiles_of(scores[3])};
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
    n = sums_queries ? 1 : scores[2];
    m = sums_keys ? 1 : scores[3];
    constexpr int64_t kMost = 1024;  // blocks: enough for every device, and the same sums on all
    splits = std::clamp<int64_t>(kMost / tiles, 1, items);
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
template <class E>
__global__ void __launch_bounds__(E::kThreads, (kResident<E, 2>))
    bias_kernel(Problem<typename E::T> p, Given<typename E::T> given, Shared shared,
                float* partial) {
  const Room<E> room;
  const int64_t split = blockIdx.x % shared.splits;
  int64_t kept[4], at[4];
  split_index(blockIdx.x / shared.splits, shared.kept, kept);
  typename E::Scores total = {};
  const int64_t end = (split + 1) * shared.items / shared.splits;
  for (int64_t item = split * shared.items / shared.splits; item < end; ++item) {
    split_index(item, shared.summed, at);
    const int64_t b = kept[0] + at[0], h = kept[1] + at[1];  // one of the two is 0
    const Place place(b, h, kept[2] + at[2], p.heads, p.n);
    pass_tiles<E, false>(p, given, room, place, int(kept[3] + at[3]), 1, false,
                         [&](const auto&, const auto& dp, int64_t, int, int) {
                           KINTSUGI_UNROLL
                           for (int i = 0; i < E::kBlocks; ++i) {
                             KINTSUGI_UNROLL
                             for (int j = 0; j < E::kInner; ++j) total[i][j] += dp[i][j];
                           }
                         });
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
    dbias.patch(at[0], at[1], at[2], at[3])(0, 0) = float(sum);
  }
}

}  // namespace

bool attention_backward(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& bias,
                        double scale, const Tensor& y, const Tensor& logsumexp, const Tensor& dy,
                        const Tensor& dq, const Tensor& dk, const Tensor& dv, const Tensor& dbias) {
  for (const Tensor* x : {&q, &k, &v, &y, &dy}) {
    if (!takes(*x, dq.dtype())) return false;
  }
  if (!takes_bias(bias) || !takes_bias(dbias)) return false;
  const Shape scores{q.size(0), q.size(1), q.size(2), k.size(2)};
  const int64_t heads = scores[0] * scores[1];
  if (heads == 0) return true;
  with_engine(q.dtype(), int(std::max(q.size(3), v.size(3))), [&](auto engine) {
    using E = decltype(engine);
    using T = typename E::T;
    const Problem<T> p(q, k, v, bias, scale);
    const int query_tiles = tiles_of(p.n), key_tiles = tiles_of(p.m);
    const int64_t padded = int64_t(query_tiles) * kSide, queries = heads * padded;
    const Tensor statistics = Tensor::empty({queries, 2}, DType::kF32, q.device());
    const Given<T> given{Heads<T>(dy), pointer<float2>(statistics)};
    if (queries > 0) {
      launch(kOp, statistics_kernel<T>, blocks_for(queries, kThreads / 32), kThreads, 0, queries,
             p.heads, p.n, padded, p.e, Heads<T>(y), given.dy, pointer<float>(logsumexp),
             pointer<float2>(statistics));
    }
    const int chunks = chunks_of<E>(std::max(p.d, p.e));
    const auto run = [&](const auto& kernel, int own_tiles, int other_tiles, auto... results) {
      const bool ahead = E::kOverlaps && chunks == 1 && other_tiles > 1;
      launch(kOp, kernel, unsigned(heads * own_tiles * chunks), E::kThreads, Room<E>::bytes(ahead),
             p, given, ahead, results...);
    };
    run(keys_kernel<E>, key_tiles, query_tiles, Heads<T>(dk), Heads<T>(dv));
    if (queries == 0) return;

    Plane direct{Tensor()};
    if (dbias.defined()) {
      const Shared shared(scores, dbias);
      if (shared.items == 1 && !shared.sums_queries && !shared.sums_keys) {
        direct = Plane(dbias);
      } else {
        const Tensor partial =
            Tensor::empty({shared.splits, shared.elements()}, DType::kF32, q.device());
        launch(kOp, bias_kernel<E>, unsigned(shared.tiles * shared.splits), E::kThreads,
               Room<E>::bytes(false), p, given, shared, pointer<float>(partial));
        launch(kOp, bias_sums_kernel, blocks_for(shared.elements()), kThreads, 0, shared,
               shared.elements(), pointer<float>(partial), Plane(dbias));
      }
    }
    run(queries_kernel<E>, query_tiles, key_tiles, Heads<T>(dq), direct);
  });
  return true;
}

}  // namespace kintsugi::cuda
