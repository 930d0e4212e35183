#include "kintsugi/engine/cuda/optimize.h"

#include <cmath>

#include "kintsugi/engine/cuda/vector.h"

namespace kintsugi::cuda {

namespace {

constexpr int kMostTensors = 4;  // of a parameter
constexpr int kTable = 72;       // parameters of a launch: the table is an argument, under 4 KiB
constexpr int64_t kPiece = 16 * kThreads;  // elements of a block

struct Table {
  int count = 0;
  bool fours[kTable];
  float* at[kMostTensors][kTable];
  int64_t numel[kTable];
  int64_t first[kTable];  // block
};

struct Sgd {
  static constexpr int kTensors = 3;
  float lr, momentum, weight_decay;
  bool nesterov;
  // p, g, v; `last`: there is a velocity.
  __device__ __forceinline__ void operator()(float (&x)[3], bool last) const {
    float d = x[1] + weight_decay * x[0];
    if (last) {
      x[2] = momentum * x[2] + d;
      d = nesterov ? d + momentum * x[2] : x[2];
    }
    x[0] -= lr * d;
  }
  __device__ __forceinline__ static bool writes(int k) { return k != 1; }
};

struct AdamW {
  static constexpr int kTensors = 4;
  float beta1, rest1, beta2, rest2, keep, step, scale, epsilon;
  // p, g, m, v.
  __device__ __forceinline__ void operator()(float (&x)[4], bool) const {
    x[2] = beta1 * x[2] + rest1 * x[1];
    x[3] = beta2 * x[3] + rest2 * x[1] * x[1];
    x[0] = keep * x[0] - step * x[2] / (sqrtf(x[3]) * scale + epsilon);
  }
  __device__ __forceinline__ static bool writes(int k) { return k != 1; }
};

// A step towards p: what does not move keeps its average to the bit.
struct Ema {
  static constexpr int kTensors = 2;
  float rest;
  __device__ __forceinline__ void operator()(float (&x)[2], bool) const {
    x[0] += rest * (x[1] - x[0]);
  }
  __device__ __forceinline__ static bool writes(int k) { return k == 0; }
};

template <int N, class F>
__device__ __forceinline__ void update(const Table& table, int t, int64_t i, const F& f) {
  constexpr int kK = F::kTensors;
  const bool last = table.at[kK - 1][t] != nullptr;
  Floats<N> v[kK];
  for (int k = 0; k < kK; ++k) {
    if (k < kK - 1 || last) v[k] = reinterpret_cast<const Floats<N>*>(table.at[k][t])[i];
  }
  for (int n = 0; n < N; ++n) {
    float x[kK];
    for (int k = 0; k < kK; ++k) x[k] = k < kK - 1 || last ? v[k].at[n] : 0;
    f(x, last);
    for (int k = 0; k < kK; ++k) v[k].at[n] = x[k];
  }
  for (int k = 0; k < kK; ++k) {
    if (F::writes(k) && (k < kK - 1 || last)) {
      reinterpret_cast<Floats<N>*>(table.at[k][t])[i] = v[k];
    }
  }
}

// A block finds its parameter among the first blocks of each.
template <class F>
__global__ void update_many(Table table, F f) {
  int low = 0, high = table.count;
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    if (table.first[middle] <= int64_t(blockIdx.x))
      low = middle;
    else
      high = middle;
  }
  const int64_t begin = (int64_t(blockIdx.x) - table.first[low]) * kPiece, n = table.numel[low];
  const int64_t end = begin + kPiece < n ? begin + kPiece : n;
  if (!table.fours[low]) {
    for (int64_t i = begin + threadIdx.x; i < end; i += kThreads) update<1>(table, low, i, f);
    return;
  }
  for (int64_t i = begin / 4 + threadIdx.x; i < end / 4; i += kThreads) {
    update<4>(table, low, i, f);
  }
  const int64_t i = end / 4 * 4 + threadIdx.x;
  if (i < end) update<1>(table, low, i, f);
}

// tensors(i): the addresses of parameter i; it is left out where it has no elements.
template <class F, class Tensors>
void run(const char* op, size_t count, const F& f, const Tensors& tensors) {
  Table table;
  int64_t blocks = 0;
  const auto flush = [&] {
    if (table.count > 0) launch(op, update_many<F>, unsigned(blocks), kThreads, 0, table, f);
    table.count = 0;
    blocks = 0;
  };
  for (size_t i = 0; i < count; ++i) {
    const std::array<const Tensor*, F::kTensors> list = tensors(i);
    const int64_t n = list[0]->numel(), pieces = (n + kPiece - 1) / kPiece;
    if (n == 0) continue;
    if (table.count == kTable || blocks + pieces > INT32_MAX) flush();
    const int t = table.count++;
    table.fours[t] = true;
    for (size_t k = 0; k < list.size(); ++k) {
      table.at[k][t] = pointer<float>(*list[k]);
      table.fours[t] = table.fours[t] && are_aligned(table.at[k][t]);
    }
    table.numel[t] = n;
    table.first[t] = blocks;
    blocks += pieces;
  }
  flush();
}

}  // namespace

bool sgd_step(std::span<const ops::SgdTensors> parameters, const ops::SgdStep& step) {
  if (parameters[0].p.dtype() != DType::kF32) return false;
  const Sgd f{float(step.lr), float(step.momentum), float(step.weight_decay), step.nesterov};
  run("sgd_step", parameters.size(), f, [&](size_t i) {
    const ops::SgdTensors& x = parameters[i];
    return std::array{&x.p, &x.g, &x.v};
  });
  return true;
}

bool adamw_step(std::span<const ops::AdamWTensors> parameters, const ops::AdamWStep& step) {
  if (parameters[0].p.dtype() != DType::kF32) return false;
  // 1 - beta in double: of 0.999 the float's rounding would be 1e-5 of the difference.
  const double first = 1 - std::pow(step.beta1, double(step.t));
  const double second = 1 - std::pow(step.beta2, double(step.t));
  const AdamW f{float(step.beta1),
                float(1 - step.beta1),
                float(step.beta2),
                float(1 - step.beta2),
                float(1 - step.lr * step.weight_decay),
                float(step.lr / first),
                float(1 / std::sqrt(second)),
                float(step.epsilon)};
  run("adamw_step", parameters.size(), f, [&](size_t i) {
    const ops::AdamWTensors& x = parameters[i];
    return std::array{&x.p, &x.g, &x.m, &x.v};
  });
  return true;
}

bool ema_step(std::span<const ops::EmaTensors> values, double decay) {
  if (values[0].p.dtype() != DType::kF32) return false;
  run("ema_step", values.size(), Ema{float(1 - decay)}, [&](size_t i) {
    const ops::EmaTensors& x = values[i];
    return std::array{&x.average, &x.p};
  });
  return true;
}

}  // namespace kintsugi::cuda
