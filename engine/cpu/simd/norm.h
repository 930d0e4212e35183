// Normalisations of contiguous rows, one thread each.
#pragma once

#include <cstdint>

#include "kintsugi/engine/cpu/isa.h"

namespace kintsugi::cpu {

struct NormKernels {
  // Per column: the mean, and the sum of squared deviations from it.
  void (*moments)(const float* x, int64_t rows, int64_t columns, double* mean, double* squares);
  // y = (x - mean) * scale + shift, per column.
  void (*apply)(const float* x, int64_t rows, int64_t columns, const float* mean,
                const float* scale, const float* shift, float* y);
  // Per column, added: the sum of dy, and of dy * (x - mean).
  void (*sums)(const float* x, const float* dy, int64_t rows, int64_t columns, const float* mean,
               double* sum, double* dot);
  // dx = scale * dy + slope * (x - mean) + shift, per column.
  void (*apply_backward)(const float* x, const float* dy, int64_t rows, int64_t columns,
                         const float* mean, const float* scale, const float* slope,
                         const float* shift, float* dx);

  // Each row by its own moments. weight and bias may be null.
  void (*rows)(const float* x, int64_t rows, int64_t columns, const float* weight,
               const float* bias, double epsilon, float* y, float* mean, float* rstd);
  // dweight and dbias are added, per column; room: 2 * columns floats.
  void (*rows_backward)(const float* x, const float* dy, int64_t rows, int64_t columns,
                        const float* weight, const float* mean, const float* rstd, float* dx,
                        double* dweight, double* dbias, float* room);
};

KINTSUGI_KERNELS(NormKernels, norm_kernels)

}  // namespace kintsugi::cpu
