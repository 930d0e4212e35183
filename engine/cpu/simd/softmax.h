// Softmax of dense rows and columns, one thread each. x, y and dy have one memory order.
#pragma once

#include <cstdint>

#include "kintsugi/engine/cpu/isa.h"

namespace kintsugi::cpu {

struct SoftmaxKernels {
  // `rows` rows of n contiguous elements.
  void (*rows)(const float* x, int64_t rows, int64_t n, bool logarithm, float* y);
  void (*rows_backward)(const float* y, const float* dy, int64_t rows, int64_t n, bool logarithm,
                        float* dx);
  // `width` neighbouring columns of n elements, `stride` apart.
  void (*columns)(const float* x, int64_t width, int64_t n, int64_t stride, bool logarithm,
                  float* y);
  void (*columns_backward)(const float* y, const float* dy, int64_t width, int64_t n,
                           int64_t stride, bool logarithm, float* dx);
};

KINTSUGI_KERNELS(SoftmaxKernels, softmax_kernels)

}  // namespace kintsugi::cpu
