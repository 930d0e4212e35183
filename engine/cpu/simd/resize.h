// Weighted sums of rows. Never installed.
#pragma once

#include <cstdint>

#include "kintsugi/engine/cpu/isa.h"

namespace kintsugi::cpu {

struct ResizeKernels {
  // y[k] = sum over t of weight[t] * x[offset[t] + k], k < n.
  void (*combine)(int64_t taps, const int64_t* offset, const float* weight, const float* x,
                  int64_t n, float* y);
};

KINTSUGI_KERNELS(ResizeKernels, resize_kernels)

}  // namespace kintsugi::cpu
