// Milakov & Gimelshein 2018, "Online normalizer calculation for softmax"; Dao et al. 2022,
// "FlashAttention": tiles of queries meet tiles of keys; the backward computes the probabilities
// again from the forward's log-sum-exp.
#include "kintsugi/engine/cpu/simd/attention.h"

#include "kintsugi/engine/cpu/simd/tile.h"

namespace kintsugi::cpu::KINTSUGI_ISA {

namespace {

constexpr int64_t kQueries = 64, kKeys = 128;  // a tile of scores is at most 32 KiB

inline int64_t rounded_up(int64_t n, int64_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}
inline int64_t padded(int64_t n) {
  return rounded_up(n, kLanes);
}

// n in equal tiles of at most `most`, each but the last a multiple of `multiple`.
inline int64_t tile_size(int64_t n, int64_t most, int64_t multiple) {
  const int64_t tiles = (n + most - 1) / most;
  return tiles == 0 ? most : rounded_up((n + tiles - 1) / tiles, multiple);
}

class Room {
 public:
  explicit Room(float* base) : base_(base) {}  // null: only measures
  float* take(int64_t floats) {
    float* const at = base_ ? base_ + used_ : nullptr;
    used_ += rounded_up(floats, 16);
    return at;
  }
  int64_t used() const { return used_; }

 private:
  float* base_;
  int64_t used_ = 0;
};

// Rows readable up to whole vectors: themselves, or copies.
struct Padded {
  float* room = nullptr;  // null where the rows serve as they are
  Padded(Room& space, int64_t rows, int64_t columns) {
    if (columns % kLanes != 0) room = space.take(rows * padded(columns));
  }
  ConstRows fill(ConstRows x, int64_t rows, int64_t columns) const {
    if (!room) return x;
    const int64_t width = padded(columns);
    for (int64_t i = 0; i < rows; ++i) {
      const float* src = x.data + i * x.row;
      float* dst = room + i * width;
      each_vector(columns, [&](auto lanes, int64_t c) { store(dst + c, lanes.get(src + c)); });
    }
    return {room, width};
  }
};

// x (rows, columns) * scale transposed, in tiles of `tile` rows: each is (columns, its rows
// padded).
struct Transposed {
  float* room;
  int64_t tile, columns;
  Transposed(Room& space, int64_t rows, int64_t column_count, int64_t tile_rows)
      : room(space.take(rounded_up(rows, tile_rows) * column_count)),
        tile(tile_rows),
        columns(column_count) {}
  void fill(ConstRows x, int64_t rows, float scale) const {
    for (int64_t first = 0; first < rows; first += tile) {
      const int64_t count = first + tile < rows ? tile : rows - first, width = padded(count);
      float* const out = room + first * columns;
      for (int64_t j = 0; j < count; ++j) {
        const float* src = x.data + (first + j) * x.row;
        for (int64_t c = 0; c < columns; ++c) out[c * width + j] = src[c] * scale;
      }
      for (int64_t c = 0; c < columns; ++c) {
        for (int64_t j = count; j < width; ++j) out[c * width + j] = 0;
      }
    }
  }
  const float* at(int64_t first) const { return room + first * columns; }
};

// scores (queries, keys), rows `keys` padded apart, of one tile; the scale is in the keys already.
void tile_scores(const AttentionHead& head, const Transposed& keys, int64_t i0, int64_t queries,
                 int64_t j0, int64_t count, float* scores) {
  const int64_t width = padded(count);
  product({head.q.data + i0 * head.q.row, head.q.row, 1, keys.at(j0), width, scores, width, head.d,
           false},
          queries, width);
  if (!head.bias.data) return;
  for (int64_t i = 0; i < queries; ++i) {
    const float* bias = head.bias.data + (i0 + i) * head.bias.row + j0 * head.bias_column;
    float* row = scores + i * width;
    if (head.bias_column == 0) {
      for (int64_t j = 0; j < count; ++j) row[j] += *bias;
    } else {
      each_vector(count, [&](auto lanes, int64_t j) {
        lanes.put(row + j, lanes.get(row + j) + lanes.get(bias + j));
      });
    }
  }
}

struct ForwardRoom {
  int64_t query_tile, key_tile;
  Room space;
  Transposed keys;
  Padded values;
  float *scores, *out, *largest, *sum;

  ForwardRoom(const AttentionHead& head, float* base)
      : query_tile(tile_size(head.n, kQueries, 1)),
        key_tile(tile_size(head.m, kKeys, kLanes)),
        space(base),
        keys(space, head.m, head.d, key_tile),
        values(space, head.m, head.e),
        scores(space.take(query_tile * key_tile)),
        out(space.take(query_tile * padded(head.e))),
        largest(space.take(query_tile)),
        sum(space.take(query_tile)) {}
};

inline float infinity() {
  return __builtin_inff();
}

inline float largest_of(const float* x, int64_t width) {
  Vec most = load(x);
  for (int64_t j = kLanes; j < width; j += kLanes) most = max(most, load(x + j));
  return lane_max(most);
}

// Turns a row of scores into e^(score - maximum so far) and rescales what was summed before.
inline void online_softmax(float* scores, int64_t width, float& largest, float& total, float* out,
                           int64_t out_width) {
  const float before = largest, here = largest_of(scores, width);
  const float now = here > before ? here : before;
  const float shift = now == -infinity() ? 0.0f : now;  // a row masked so far
  Vec sums{};
  for (int64_t j = 0; j < width; j += kLanes) {
    const Vec p = exp(load(scores + j) - shift);
    store(scores + j, p);
    sums += p;
  }
  const float here_total = lane_sum(sums);
  largest = now;
  if (before == now || before == -infinity()) {  // nothing to rescale
    total += here_total;
    return;
  }
  const float factor = exp(splat(before - shift))[0];
  total = total * factor + here_total;
  for (int64_t c = 0; c < out_width; c += kLanes) store(out + c, load(out + c) * factor);
}

void attention_forward(const AttentionHead& head, Rows y, float* logsumexp, float* base) {
  const ForwardRoom room(head, base);
  room.keys.fill(head.k, head.m, head.scale);
  const ConstRows values = room.values.fill(head.v, head.m, head.e);
  const int64_t out_width = padded(head.e);
  for (int64_t i0 = 0; i0 < head.n; i0 += room.query_tile) {
    const int64_t queries = i0 + room.query_tile < head.n ? room.query_tile : head.n - i0;
    for (int64_t i = 0; i < queries; ++i) {
      room.largest[i] = -infinity();
      room.sum[i] = 0;
    }
    for (int64_t i = 0; i < queries * out_width; ++i) room.out[i] = 0;
    for (int64_t j0 = 0; j0 < head.m; j0 += room.key_tile) {
      const int64_t count = j0 + room.key_tile < head.m ? room.key_tile : head.m - j0;
      const int64_t width = padded(count);
      tile_scores(head, room.keys, i0, queries, j0, count, room.scores);
      for (int64_t i = 0; i < queries; ++i) {
        float* row = room.scores + i * width;
        for (int64_t j = count; j < width; ++j) row[j] = -infinity();
        online_softmax(row, width, room.largest[i], room.sum[i], room.out + i * out_width,
                       out_width);
      }
      product({room.scores, width, 1, values.data + j0 * values.row, values.row, room.out,
               out_width, count, true},
              queries, out_width);
    }
    for (int64_t i = 0; i < queries; ++i) {
      const float inverse = 1.0f / room.sum[i];
      const float* src = room.out + i * out_width;
      float* dst = y.data + (i0 + i) * y.row;
      each_vector(head.e,
                  [&](auto lanes, int64_t c) { lanes.put(dst + c, lanes.get(src + c) * inverse); });
      logsumexp[i0 + i] = room.largest[i] + float(__builtin_log(double(room.sum[i])));
    }
  }
}

struct BackwardRoom {
  int64_t query_tile, key_tile;
  Room space;
  Transposed keys, values;
  Padded key_rows, query_rows, grad_rows;
  float *p, *ds, *delta;

  BackwardRoom(const AttentionHead& head, float* base)
      : query_tile(tile_size(head.n, kQueries, 1)),
        key_tile(tile_size(head.m, kKeys, kLanes)),
        space(base),
        keys(space, head.m, head.d, key_tile),
        values(space, head.m, head.e, key_tile),
        key_rows(space, head.m, head.d),
        query_rows(space, head.n, head.d),
        grad_rows(space, head.n, head.e),
        p(space.take(query_tile * key_tile)),
        ds(space.take(query_tile * key_tile)),
        delta(space.take(query_tile)) {}
};

// ds holds dp; afterwards p the probabilities and ds their scores' gradient times the scale.
inline void row_gradients(const AttentionHead& head, const AttentionHeadGrads& grads, int64_t i,
                          int64_t j0, int64_t count, float delta, float* p, float* ds) {
  const float shift = grads.logsumexp[i];
  const int64_t width = padded(count);
  float* dbias = grads.dbias.data;
  if (dbias) dbias += i * grads.dbias.row + j0 * head.bias_column;
  Vec total{};
  for (int64_t j = 0; j < width; j += kLanes) {
    const Vec probability = exp(load(p + j) - shift);
    const Vec gradient = probability * (load(ds + j) - delta);
    store(p + j, probability);
    store(ds + j, gradient * head.scale);
    if (!dbias) continue;
    const int64_t part = count - j < kLanes ? count - j : kLanes;
    if (head.bias_column == 0) {
      for (int64_t l = 0; l < part; ++l) total[0] += gradient[l];
    } else if (part == kLanes) {
      store(dbias + j, load(dbias + j) + gradient);
    } else {
      const Part rest(part);
      rest.put(dbias + j, rest.get(dbias + j) + gradient);
    }
  }
  if (dbias && head.bias_column == 0) *dbias += total[0];
}

void zero(Rows x, int64_t rows, int64_t columns) {
  for (int64_t i = 0; i < rows; ++i) {
    each_vector(columns, [&](auto lanes, int64_t c) { lanes.put(x.data + i * x.row + c, Vec{}); });
  }
}

void attention_backward(const AttentionHead& head, const AttentionHeadGrads& grads, float* base) {
  const BackwardRoom room(head, base);
  room.keys.fill(head.k, head.m, head.scale);
  room.values.fill(head.v, head.m, 1.0f);
  const ConstRows keys = room.key_rows.fill(head.k, head.m, head.d);
  const ConstRows queries = room.query_rows.fill(head.q, head.n, head.d);
  const ConstRows dys = room.grad_rows.fill(grads.dy, head.n, head.e);
  zero(grads.dk, head.m, head.d);
  zero(grads.dv, head.m, head.e);
  for (int64_t i0 = 0; i0 < head.n; i0 += room.query_tile) {
    const int64_t count_q = i0 + room.query_tile < head.n ? room.query_tile : head.n - i0;
    const float* dy = dys.data + i0 * dys.row;
    for (int64_t i = 0; i < count_q; ++i) {
      const float* out = grads.y.data + (i0 + i) * grads.y.row;
      Vec sum{};
      each_vector(head.e, [&](auto lanes, int64_t c) {
        sum += lanes.get(dy + i * dys.row + c) * lanes.get(out + c);
      });
      room.delta[i] = lane_sum(sum);
    }
    for (int64_t j0 = 0; j0 < head.m; j0 += room.key_tile) {
      const int64_t count_k = j0 + room.key_tile < head.m ? room.key_tile : head.m - j0;
      const int64_t width = padded(count_k);
      tile_scores(head, room.keys, i0, count_q, j0, count_k, room.p);
      product({dy, dys.row, 1, room.values.at(j0), width, room.ds, width, head.e, false}, count_q,
              width);
      for (int64_t i = 0; i < count_q; ++i) {
        row_gradients(head, grads, i0 + i, j0, count_k, room.delta[i], room.p + i * width,
                      room.ds + i * width);
      }
      product({room.p, 1, width, dy, dys.row, grads.dv.data + j0 * grads.dv.row, grads.dv.row,
               count_q, true},
              count_k, head.e);
      product({room.ds, 1, width, queries.data + i0 * queries.row, queries.row,
               grads.dk.data + j0 * grads.dk.row, grads.dk.row, count_q, true},
              count_k, head.d);
      product({room.ds, width, 1, keys.data + j0 * keys.row, keys.row,
               grads.dq.data + i0 * grads.dq.row, grads.dq.row, count_k, j0 > 0},
              count_q, head.d);
    }
  }
}

int64_t room_of(const AttentionHead& head, bool backward) {
  return backward ? BackwardRoom(head, nullptr).space.used()
                  : ForwardRoom(head, nullptr).space.used();
}

}  // namespace

extern const AttentionKernels attention_kernels_table = {room_of, attention_forward,
                                                         attention_backward};

}  // namespace kintsugi::cpu::KINTSUGI_ISA
