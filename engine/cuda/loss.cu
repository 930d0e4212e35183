#include "kintsugi/engine/cuda/loss.h"

#include <cmath>
#include <limits>

#include "kintsugi/engine/cuda/rows.h"

namespace kintsugi::cuda {

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// A NaN is none here: it comes back with the sum.
struct Greater {
  __device__ __forceinline__ float operator()(float a, float b) const { return fmaxf(a, b); }
};

// What a row of the targets gives to class c: labels, or soft targets (the other is null).
struct Weights {
  const int64_t* labels;
  const float* soft;
  float label, every;
  int64_t classes;

  Weights(const Tensor& targets, double smoothing, int64_t classes)
      : labels(targets.dtype() == DType::kI64 ? pointer<int64_t>(targets) : nullptr),
        soft(labels ? nullptr : pointer<float>(targets)),
        label(float(1 - smoothing + smoothing / double(classes))),
        every(float(smoothing / double(classes))),
        classes(classes) {}
  __device__ __forceinline__ float at(int64_t row, int64_t c) const {
    return soft ? soft[row * classes + c] : labels[row] == c ? label : every;
  }
  __device__ __forceinline__ bool valid(int64_t row) const {
    return soft || (labels[row] >= 0 && labels[row] < classes);
  }
};

// Probabilities, and each row's loss.
__global__ void cross_entropy_kernel(Rows rows, Weights weights, const float* x, float* q,
                                     double* losses) {
  constexpr int kGroups = kHeld<1>;
  const int lanes = rows.lanes, lane = rows.lane();
  const int64_t span = kGroups * lanes;
  for (int64_t first = int64_t(blockIdx.x) * rows.groups(); first < rows.rows;
       first += int64_t(gridDim.x) * rows.groups()) {
    const int64_t row = first + rows.group(), n = row < rows.rows ? rows.n : 0;
    const float* src = x + row * rows.n;
    float held[kGroups], top = -kInfinity, sum = 0;
    for (int64_t from = lane; from < n; from += span) {
      rows.each<kGroups>(from, n, [&](int k, int64_t c) { held[k] = src[c]; });
      rows.each<kGroups>(from, n, [&](int k, int64_t) { top = fmaxf(top, held[k]); });
    }
    top = row_reduce(top, Greater(), lanes);
    for (int64_t from = lane; from < n; from += span) {
      if (n > span) rows.each<kGroups>(from, n, [&](int k, int64_t c) { held[k] = src[c]; });
      rows.each<kGroups>(from, n, [&](int k, int64_t) { sum += expf(held[k] - top); });
    }
    sum = row_sum(sum, lanes);
    const float shift = logf(sum);
    double loss = 0;
    for (int64_t from = lane; from < n; from += span) {
      if (n > span) rows.each<kGroups>(from, n, [&](int k, int64_t c) { held[k] = src[c]; });
      rows.each<kGroups>(from, n, [&](int k, int64_t c) {
        const float logp = held[k] - top - shift, w = weights.at(row, c);
        q[row * rows.n + c] = expf(logp);
        if (w != 0) loss -= double(w) * double(logp);
      });
    }
    loss = row_sum(loss, lanes);
    if (n > 0 && lane == 0) losses[row] = weights.valid(row) ? loss : double(NAN);
  }
}

// One block: the mean of n in one order.
__global__ void mean_of(int64_t n, const double* losses, float* loss) {
  double sum = 0;
  for (int64_t i = threadIdx.x; i < n; i += blockDim.x) sum += losses[i];
  sum = block_sum(sum, dynamic_shared<double>());
  if (threadIdx.x == 0) *loss = float(sum / double(n));
}

__global__ void cross_entropy_backward_kernel(Rows rows, Weights weights, const float* q,
                                              const float* dloss, float* dx) {
  const int lanes = rows.lanes, lane = rows.lane();
  const float scale = *dloss / float(rows.rows);
  for (int64_t first = int64_t(blockIdx.x) * rows.groups(); first < rows.rows;
       first += int64_t(gridDim.x) * rows.groups()) {
    const int64_t row = first + rows.group(), n = row < rows.rows ? rows.n : 0;
    float mass = 1;  // of the row's weights
    if (weights.soft) {
      mass = 0;
      for (int64_t c = lane; c < n; c += lanes) mass += weights.at(row, c);
      mass = row_sum(mass, lanes);
    }
    for (int64_t c = lane; c < n; c += lanes) {
      const int64_t i = row * rows.n + c;
      dx[i] = scale * (mass * q[i] - weights.at(row, c));
    }
  }
}

}  // namespace

bool cross_entropy(const Tensor& logits, const Tensor& targets, double smoothing,
                   const Tensor& loss, const Tensor& probabilities) {
  if (logits.dtype() != DType::kF32) return false;
  const int64_t n = logits.size(0), k = logits.size(1);
  const Rows rows(n, k, kHeld<1>);
  const Tensor losses = Tensor::empty({n}, DType::kF64, logits.device());
  launch("cross_entropy", cross_entropy_kernel, rows.blocks(), rows.threads, Rows::kScratch, rows,
         Weights(targets, smoothing, k), pointer<float>(logits), pointer<float>(probabilities),
         pointer<double>(losses));
  launch("cross_entropy", mean_of, 1, kThreads, Rows::kScratch, n, pointer<double>(losses),
         pointer<float>(loss));
  return true;
}

bool cross_entropy_backward(const Tensor& probabilities, const Tensor& targets, double smoothing,
                            const Tensor& dloss, const Tensor& dlogits) {
  if (probabilities.dtype() != DType::kF32) return false;
  const int64_t n = probabilities.size(0), k = probabilities.size(1);
  const Rows rows(n, k, kHeld<1>);
  launch("cross_entropy_backward", cross_entropy_backward_kernel, rows.blocks(), rows.threads,
         Rows::kScratch, rows, Weights(targets, smoothing, k), pointer<float>(probabilities),
         pointer<float>(dloss), pointer<float>(dlogits));
  return true;
}

}  // namespace kintsugi::cuda
