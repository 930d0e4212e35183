// Matrix products of our own: for small ones, odd strides, and builds without oneDNN. One thread
// each.
#pragma once

#include <cstdint>

#include "kintsugi/engine/cpu/isa.h"

namespace kintsugi::cpu {

struct MatmulKernels {
  int64_t lanes;
  // b (k,n) of any strides into k rows of n rounded up to whole vectors, zeros at the end.
  void (*pack)(const float* b, int64_t row, int64_t column, int64_t k, int64_t n, float* packed);
  // c (m,n) = or += a (m,k) * b (k,n): a of any strides; b's rows readable up to whole vectors.
  void (*product)(int64_t m, int64_t n, int64_t k, const float* a, int64_t a_row, int64_t a_column,
                  const float* b, int64_t b_row, float* c, int64_t c_row, bool accumulate);
  // sums[j] += the sum of column j of x (rows, columns).
  void (*column_sums)(const float* x, int64_t row, int64_t rows, int64_t columns, double* sums);
};

KINTSUGI_KERNELS(MatmulKernels, matmul_kernels)

}  // namespace kintsugi::cpu
