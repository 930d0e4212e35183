#include "kintsugi/engine/cuda/blas.h"
#include "kintsugi/engine/cuda/vector.h"

namespace kintsugi::cuda {

namespace {

template <class T>
__global__ void finish_kernel(Gemm g, int64_t total) {
  for (int64_t i = grid_first(); i < total; i += grid_step()) {
    const int64_t line = i / g.n, column = i - line * g.n;
    const int64_t product = line / g.m;
    T* at = static_cast<T*>(g.y) + product * g.y_step + (line - product * g.m) * g.y_row + column;
    const float sum = widen(*at) + (g.bias ? widen(static_cast<const T*>(g.bias)[column]) : 0);
    *at = narrow<T>(g.relu && sum < 0 ? 0 : sum);
  }
}

}  // namespace

void finish(const char* op, const Gemm& g) {
  const int64_t total = g.batch * g.m * g.n;
  const auto kernel = g.result == DType::kF32 ? finish_kernel<float> : finish_kernel<BFloat16>;
  launch(op, kernel, blocks_for(total), kThreads, 0, g, total);
}

}  // namespace kintsugi::cuda
