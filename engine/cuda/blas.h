// Products of matrices in device memory: cuBLASLt's (blas.cu) or, in the tests, plain loops. Never
// installed.
#pragma once

#include <cstdint>

#include "kintsugi/engine/core/tensor.h"

namespace kintsugi::cuda {

// y (m,n) = a (m,k) b (k,n) + bias (n), row major, rows `*_row` elements apart. A
// transposed operand lies as (k,m) or (n,k). Products of a batch lie `*_step` apart: 0 is one
// matrix for all of them (not for y). m, n, k and batch are positive. a and b are f32 or bf16, sums
// f32; y and bias are f32, or bf16 where a and b are.
struct Gemm {
  int64_t m = 0, n = 0, k = 0;
  const void* a = nullptr;
  const void* b = nullptr;
  void* y = nullptr;
  DType operands = DType::kF32, result = DType::kF32;
  int64_t a_row = 0, b_row = 0, y_row = 0;
  bool a_transposed = false, b_transposed = false;
  int64_t batch = 1;
  int64_t a_step = 0, b_step = 0, y_step = 0;
  const void* bias = nullptr;
  bool relu = false;        // max(0, .) of that; a NaN may become 0
  bool accumulate = false;  // the product is added to what y holds; bias and relu follow
};

// Queued on the current stream, in math_of(operands). The same bits every run.
void gemm(const char* op, const Gemm& g);

// bias and relu of what y holds, for an implementation that cannot do it on the way (blas_steps.cu).
void finish(const char* op, const Gemm& g);

}  // namespace kintsugi::cuda
