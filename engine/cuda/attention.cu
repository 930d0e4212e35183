#include "kintsugi/engine/cuda/attention.h"

#include <cmath>

#include "kintsugi/engine/cuda/attention_problem.h"

namespace kintsugi::cuda {

using namespace tiles;

namespace {

// Blocks that a multiprocessor is to hold, so that some multiply while others load.
template <class E>
constexpr int kResident = E::kWidth == kMaxWidth ? 1
                          : E::kThreads == 256   ? 2
                          : E::kWidth == 32      ? 5
                                                 : 4;

// Tiles in shared memory: queries, and keys and values of one or two steps.
template <class E>
constexpr size_t shared_bytes(bool ahead) {
  return (ahead ? 5 : 3) * kTile<E> * sizeof(typename E::Word) + E::kScratch * sizeof(float);
}

// A block has 64 queries of one head; keys and values pass by under a running maximum and sum.
template <class E>
__global__ void __launch_bounds__(E::kThreads, kResident<E>)
    attention_kernel(Problem<typename E::T> p, bool ahead, Heads<typename E::T> y,
                     float* logsumexp) {
  using Word = typename E::Word;
  constexpr int kWidth = E::kWidth;
  Word* const own = dynamic_shared<Word>();
  Word* const passing = own + kTile<E>;
  float* const scratch = reinterpret_cast<float*>(passing + 2 * kTile<E>);  // where none overlap

  const Place at(chunks_of<E>(p.e), tiles_of(p.n), p.heads, p.n);
  const int chunks = chunks_of<E>(p.d);
  const bool busy = E::has_rows(at.rows);

  float largest[E::kSlots], sum[E::kSlots];
  KINTSUGI_UNROLL
  for (int r = 0; r < E::kSlots; ++r) {
    largest[r] = -INFINITY;
    sum[r] = 0;
  }
  typename E::Outs out = {};
  typename E::Scores s;

  const auto columns_of = [&](int64_t m0) { return int(p.m - m0 < kSide ? p.m - m0 : kSide); };
  const auto stage = [&](int step, int buffer) {
    const int tile = step / chunks, c = step - tile * chunks;
    const int64_t m0 = int64_t(tile) * kSide;
    const int columns = columns_of(m0);
    const int b = hidden(at.b), h = hidden(at.h), column = c * kWidth;
    Word* const to = passing + buffer * 2 * kTile<E>;
    if (step == 0 || chunks > 1) E::stage(own, p.q.rows(b, h), {at.first, at.rows, column, p.d});
    E::stage(to, p.k.rows(b, h), {m0, columns, column, p.d});
    if (c + 1 < chunks) return;
    E::stage(to + kTile<E>, p.v.rows(b, h), {m0, columns, at.part * kWidth, p.e});
  };
  pass(chunks * tiles_of(p.m), ahead, stage, [&](int step, int buffer) {
    if (!busy) return;
    const int tile = step / chunks, c = step - tile * chunks, left = p.d - c * kWidth;
    const int64_t m0 = int64_t(tile) * kSide;
    const int columns = columns_of(m0);
    const Word* const from = passing + buffer * 2 * kTile<E>;
    if (c == 0) clear(s);
    E::dots(s, own, from, left < kWidth ? left : kWidth, columns);
    if (c + 1 < chunks) return;

    score<E>(s, p.scale, p.bias.patch(at.b, at.h, at.first, m0), at.rows, columns);
    float peak[E::kSlots], shift[E::kSlots], shrink[E::kSlots];
    KINTSUGI_UNROLL
    for (int r = 0; r < E::kSlots; ++r) peak[r] = -INFINITY;
    KINTSUGI_UNROLL
    for (int i = 0; i < E::kBlocks; ++i) {
      if (E::beyond(i, columns)) break;
      KINTSUGI_UNROLL
      for (int j = 0; j < E::kInner; ++j) {
        const int slot = E::slot(i, j);
        peak[slot] = fmaxf(peak[slot], s[i][j]);  // NaN comes back by way of power_of_two
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
      shrink[r] = power_of_two(largest[r] - shift[r]);
      largest[r] = next;
      sum[r] *= shrink[r];
    }
    KINTSUGI_UNROLL
    for (int i = 0; i < E::kBlocks; ++i) {
      if (E::beyond(i, columns)) break;
      KINTSUGI_UNROLL
      for (int j = 0; j < E::kInner; ++j) {
        s[i][j] = power_of_two(s[i][j] - shift[E::slot(i, j)]);
        sum[E::slot(i, j)] += s[i][j];
      }
    }
    KINTSUGI_UNROLL
    for (int i = 0; i < E::kOutBlocks; ++i) {
      KINTSUGI_UNROLL
      for (int j = 0; j < E::kOutInner; ++j) out[i][j] *= shrink[E::out_slot(i, j)];
    }
    E::weigh(out, E::weights(s, scratch), from + kTile<E>, columns);
  });

  if (!busy) return;
  float inverse[E::kSlots];
  KINTSUGI_UNROLL
  for (int r = 0; r < E::kSlots; ++r) {
    KINTSUGI_UNROLL
    for (int bits = E::kLanes / 2; bits > 0; bits /= 2) {
      sum[r] += __shfl_xor_sync(kAllLanes, sum[r], bits);
    }
    inverse[r] = 1 / sum[r];
    const int row = E::row_of(r);
    if (at.part == 0 && int(threadIdx.x) % E::kLanes == 0 && row < at.rows) {
      // Nothing but masked keys: NaN, as the definition has it, in y by 0 / 0.
      logsumexp[at.head * p.n + at.first + row] =
          largest[r] == -INFINITY ? NAN : kLn2 * largest[r] + logf(sum[r]);
    }
  }
  write_rows<E>(out, inverse, y, at, p.e);
}

}  // namespace

bool attention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& bias, double scale,
               const Tensor& y, const Tensor& logsumexp) {
  for (const Tensor* x : {&q, &k, &v}) {
    if (!takes(*x, y.dtype())) return false;
  }
  if (!takes_bias(bias)) return false;
  if (logsumexp.numel() == 0) return true;
  const int64_t heads = q.size(0) * q.size(1);
  with_engine(y.dtype(), int(std::max(q.size(3), v.size(3))), [&](auto engine) {
    using E = decltype(engine);
    const Problem<typename E::T> p(q, k, v, bias, scale);
    const bool ahead = E::kOverlaps && chunks_of<E>(p.d) == 1 && p.m > kSide;
    launch("attention", attention_kernel<E>, unsigned(heads * tiles_of(p.n) * chunks_of<E>(p.e)),
           E::kThreads, shared_bytes<E>(ahead), p, ahead, Heads<typename E::T>(y),
           pointer<float>(logsumexp));
  });
  return true;
}

}  // namespace kintsugi::cuda
