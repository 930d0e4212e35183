#include "kintsugi/engine/cpu/reduce.h"

#include <limits>
#include <vector>

#include "kintsugi/engine/cpu/loop.h"
#include "kintsugi/engine/cpu/simd/reduce.h"
#include "kintsugi/engine/ops/order.h"

namespace kintsugi::cpu {

namespace {

using ops::Reduce;

constexpr int64_t kGrain = 16384;

// Operand 0 is x, operand 1 the result, whose strides are 0 where x is reduced.
struct Sums {
  using Acc = double;
  const ReduceKernels& kernels;
  void row(int64_t n, const float* x, double& acc) const { acc += kernels.row_sum(n, x); }
  void columns(int64_t rows, int64_t row, int64_t n, const float* x, double* acc) const {
    kernels.column_sum(rows, row, n, x, acc);
  }
  static void merge(double& into, double from) { into += from; }
};

struct Extrema {
  using Acc = float;
  const ReduceKernels& kernels;
  float sign;
  void row(int64_t n, const float* x, float& acc) const {
    acc = kernels.row_extremum(n, x, acc, sign);
  }
  void columns(int64_t rows, int64_t row, int64_t n, const float* x, float* acc) const {
    kernels.column_extremum(rows, row, n, x, acc, sign);
  }
  void merge(float& into, float from) const {
    if (from != from || sign * from > sign * into) into = from;
  }
};

template <class Kind>
void accumulate(const Kind& kind, const Loop<2>& loop, int depth, int64_t first, int64_t last,
                const float* x, typename Kind::Acc* acc) {
  const int64_t step = loop.stride[0][depth], out = loop.stride[1][depth];
  const int left = loop.rank - 1 - depth;
  if (left == 0) {
    if (out == 0) return kind.row(last - first, x + first * step, *acc);
    return kind.columns(1, 0, last - first, x + first * step, acc + first);
  }
  if (left == 1 && out == 0 && loop.inner_step(1) != 0) {
    return kind.columns(last - first, step, loop.inner(), x + first * step, acc);
  }
  for (int64_t i = first; i < last; ++i) {
    accumulate(kind, loop, depth + 1, 0, loop.extent[depth + 1], x + i * step, acc + i * out);
  }
}

// The outermost dimension is split among the threads. Where it is reduced, each thread has sums of
// its own, added in the threads' order.
template <class Kind>
std::vector<typename Kind::Acc> run(const Kind& kind, const Loop<2>& loop, const float* x,
                                    int64_t outputs, typename Kind::Acc start) {
  using Acc = typename Kind::Acc;
  int top = 0;
  while (top + 1 < loop.rank && loop.extent[top] == 1) ++top;
  const int64_t extent = loop.extent[top];
  const int64_t grain = std::max<int64_t>(1, kGrain / std::max<int64_t>(1, loop.total / extent));
  std::vector<Acc> acc(size_t(outputs), start);
  if (loop.stride[1][top] != 0) {
    parallel_for(extent, grain, [&](int64_t begin, int64_t end) {
      accumulate(kind, loop, top, begin, end, x, acc.data());
    });
    return acc;
  }
  const int64_t parts = std::clamp<int64_t>(extent / grain, 1, Context::current().threads());
  std::vector<Acc> partial(size_t(outputs * (parts - 1)), start);
  parallel_for(parts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      Acc* mine = p == 0 ? acc.data() : partial.data() + outputs * (p - 1);
      accumulate(kind, loop, top, extent * p / parts, extent * (p + 1) / parts, x, mine);
    }
  });
  for (int64_t p = 1; p < parts; ++p) {
    for (int64_t i = 0; i < outputs; ++i)
      kind.merge(acc[size_t(i)], partial[size_t(outputs * (p - 1) + i)]);
  }
  return acc;
}

}  // namespace

bool reduce(Reduce op, const Tensor& x, Tensor& y) {
  if (x.dtype() != DType::kF32) return false;
  if (y.numel() == 0) return true;
  if (x.numel() == 0) {
    y.fill(0);
    return true;
  }
  Tensor src = x;
  Loop<2> loop = make_loop<2>({&src, &y});
  const bool rows = loop.inner_step(0) == 1 || loop.inner() == 1;
  // A kept innermost dimension must be the result's innermost too: its sums are side by side.
  const bool columns = loop.inner_step(1) == 0 || loop.inner_step(1) == 1 || loop.inner() == 1;
  if (!rows || !columns) {
    src = y.is_contiguous() ? x.contiguous() : x.channels_last();
    loop = make_loop<2>({&src, &y});
  }
  const float* in = src.data<float>();
  float* out = y.data<float>();
  const int64_t n = y.numel();
  if (op == Reduce::kMax || op == Reduce::kMin) {
    const float sign = op == Reduce::kMax ? 1 : -1;
    const auto acc = run(Extrema{reduce_kernels(), sign}, loop, in, n,
                         -sign * std::numeric_limits<float>::infinity());
    std::copy(acc.begin(), acc.end(), out);
    return true;
  }
  const double scale = op == Reduce::kMean ? double(n) / double(x.numel()) : 1;
  const auto acc = run(Sums{reduce_kernels()}, loop, in, n, 0.0);
  for (int64_t i = 0; i < n; ++i) out[i] = float(acc[size_t(i)] * scale);
  return true;
}

bool extremum_backward(const Tensor& x, const Tensor& y, const Tensor& dy, Tensor& dx) {
  if (x.dtype() != DType::kF32) return false;
  const Tensor ties = Tensor::zeros(y.shape(), DType::kF32);
  const Loop<5> loop = make_loop<5>({&dx, &x, &y, &dy, &ties});
  const float *src = x.data<float>(), *dst = y.data<float>(), *diff = dy.data<float>();
  float *count = ties.data<float>(), *out = dx.data<float>();
  std::array<int64_t, 5> step{};
  for (int k = 0; k < 5; ++k) step[size_t(k)] = loop.inner_step(k);
  const auto each = [&](int64_t grain, const auto& body) {
    run_loop(loop, grain, [&](int64_t rows, int64_t n, const std::array<int64_t, 5>& start) {
      for (int64_t r = 0; r < rows; ++r) {
        std::array<int64_t, 5> at = start;
        for (int k = 0; k < 5; ++k) at[size_t(k)] += r * loop.row_step(k);
        for (int64_t i = 0; i < n; ++i) {
          body(at);
          for (size_t k = 0; k < 5; ++k) at[k] += step[k];
        }
      }
    });
  };
  // Several elements share a count, so counting stays on one thread.
  each(loop.total, [&](const auto& at) { count[at[4]] += src[at[1]] == dst[at[2]]; });
  each(kGrain, [&](const auto& at) {
    out[at[0]] = src[at[1]] == dst[at[2]] ? diff[at[3]] / count[at[4]] : 0.0f;
  });
  return true;
}

bool argmax(const Tensor& x, int dim, Tensor& y) {
  if (x.dtype() != DType::kF32) return false;
  const int64_t n = x.size(dim), step = x.strides()[dim];
  const Tensor starts = x.slice(dim, 0, n > 0 ? 1 : 0), moved = y.unsqueeze(dim);
  const Loop<2> loop = make_loop<2>({&moved, &starts});
  const float* in = x.data<float>();
  int64_t* out = y.data<int64_t>();
  run_loop(loop, std::max<int64_t>(1, kGrain / std::max<int64_t>(1, n)),
           [&](int64_t rows, int64_t count, const std::array<int64_t, 2>& at) {
             for (int64_t r = 0; r < rows; ++r) {
               for (int64_t i = 0; i < count; ++i) {
                 const float* p = in + at[1] + r * loop.row_step(1) + i * loop.inner_step(1);
                 int64_t best = 0;
                 for (int64_t k = 1; k < n; ++k) {
                   const float value = p[k * step], held = p[best * step];
                   if (value > held || (value != value && held == held)) best = k;
                 }
                 out[at[0] + r * loop.row_step(0) + i * loop.inner_step(0)] = best;
               }
             }
           });
  return true;
}

}  // namespace kintsugi::cpu
