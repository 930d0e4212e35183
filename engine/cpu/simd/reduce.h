// SIMD sums and extrema of rows and of columns. Never installed.
#pragma once

#include <cstdint>

#include "kintsugi/engine/cpu/isa.h"

namespace kintsugi::cpu {

struct ReduceKernels {
  // Short runs are summed in f32 lanes, the runs in f64.
  double (*row_sum)(int64_t n, const float* x);
  // acc[j] += the sum of column j over `rows` rows, `row` elements apart.
  void (*column_sum)(int64_t rows, int64_t row, int64_t n, const float* x, double* acc);
  // NaN wins. Extrema start from acc; `sign` is 1 for the maximum, -1 for the minimum.
  float (*row_extremum)(int64_t n, const float* x, float acc, float sign);
  void (*column_extremum)(int64_t rows, int64_t row, int64_t n, const float* x, float* acc,
                          float sign);
};

KINTSUGI_KERNELS(ReduceKernels, reduce_kernels)

}  // namespace kintsugi::cpu
