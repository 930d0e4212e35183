// Products of matrices in device memory: cuBLASLt's (blas.cu) or, in the tests, plain loops. Never
// installed.
#pragma once

#include <cstdint>

#include "kintsugi/engine/core/tensor.h"

namespace kintsugi::cuda {

// gelu is the tanh approximation: cuBLASLt has no other.
enum class Activation : uint8_t { kNone, kRelu, kGeluTanh };

// y (m,n) = activation(a (m,k) b (k,n) + bias (n)), row major, rows `*_row` elements apart. A
// transposed operand lies as (k,m) or (n,k). Products of a batch lie `*_step` apart: 0 is one
// matrix for all of them (not for y). m, n, k and batch are positive.
struct Gemm {
  int64_t m = 0, n = 0, k = 0;
  const float* a = nullptr;
  const float* b = nullptr;
  float* y = nullptr;
  int64_t a_row = 0, b_row = 0, y_row = 0;
  bool a_transposed = false, b_transposed = false;
  int64_t batch = 1;
  int64_t a_step = 0, b_step = 0, y_step = 0;
  const float* bias = nullptr;
  Activation activation = Activation::kNone;
  bool accumulate = false;  // the product is added to what y holds; bias and activation follow
};

// Queued on the current stream; Context::math says what the operands are rounded to. The same bits
// every run.
void gemm(const char* op, const Gemm& g);

// --- what both implementations of gemm are made of (blas_steps.cu) ---

// An operand rounded to bf16: whole 16-byte units a row, and one copy where all products share it.
struct Narrowed {
  Tensor values;
  int64_t row = 0, step = 0;
};
Narrowed narrowed(const char* op, const float* x, int64_t rows, int64_t columns, int64_t row,
                  int64_t batch, int64_t step);

// y = activation(y + bias).
void finish(const char* op, const Gemm& g);

}  // namespace kintsugi::cuda
