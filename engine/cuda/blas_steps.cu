#include "kintsugi/engine/cuda/blas.h"
#include "kintsugi/engine/cuda/mma.h"

namespace kintsugi::cuda {

namespace {

// Two neighbours of a row at a time; columns from `columns` to `pairs * 2` are zero.
__global__ void narrow_kernel(int64_t total, int64_t pairs, int64_t rows, int64_t columns,
                              int64_t row, int64_t step, const float* x, uint32_t* y) {
  for (int64_t i = grid_first(); i < total; i += grid_step()) {
    const int64_t line = i / pairs, column = (i - line * pairs) * 2;
    const int64_t product = line / rows;
    const float* at = x + product * step + (line - product * rows) * row + column;
    y[i] = pack_bf16(column < columns ? at[0] : 0.0f, column + 1 < columns ? at[1] : 0.0f);
  }
}

__device__ __forceinline__ float activated(Activation activation, float x) {
  switch (activation) {
    case Activation::kRelu:
      return x < 0 ? 0 : x;
    case Activation::kGeluTanh:
      return 0.5f * x * (1 + tanhf(0.79788456080286536f * (x + 0.044715f * x * x * x)));
    default:
      return x;
  }
}

__global__ void finish_kernel(Gemm g, int64_t total) {
  for (int64_t i = grid_first(); i < total; i += grid_step()) {
    const int64_t line = i / g.n, column = i - line * g.n;
    const int64_t product = line / g.m;
    float* at = g.y + product * g.y_step + (line - product * g.m) * g.y_row + column;
    *at = activated(g.activation, g.bias ? *at + g.bias[column] : *at);
  }
}

}  // namespace

Narrowed narrowed(const char* op, const float* x, int64_t rows, int64_t columns, int64_t row,
                  int64_t batch, int64_t step) {
  if (step == 0) batch = 1;
  const int64_t width = (columns + 7) / 8 * 8, total = batch * rows * width / 2;
  Narrowed out{
      Tensor::empty({batch, rows, width}, DType::kBF16, {DeviceType::kCuda, current_device()}),
      width, step == 0 ? 0 : rows * width};
  launch(op, narrow_kernel, blocks_for(total), kThreads, 0, total, width / 2, rows, columns, row,
         step, x, static_cast<uint32_t*>(out.values.address()));
  return out;
}

void finish(const char* op, const Gemm& g) {
  const int64_t total = g.batch * g.m * g.n;
  launch(op, finish_kernel, blocks_for(total), kThreads, 0, g, total);
}

}  // namespace kintsugi::cuda
