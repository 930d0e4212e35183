// SIMD optimiser steps over n elements. Never installed.
#pragma once

#include <cstdint>

#include "kintsugi/engine/cpu/isa.h"

namespace kintsugi::cpu {

struct SgdNumbers {
  float lr, momentum, weight_decay;
  bool nesterov;
};

struct AdamWNumbers {
  float beta1, rest1;  // rest = 1 - beta
  float beta2, rest2;
  float keep;   // what the decay leaves of a weight
  float step;   // lr over the first bias correction
  float scale;  // of sqrt(v): the second bias correction
  float epsilon;
};

struct OptimizeKernels {
  void (*sgd)(int64_t n, float* p, const float* g, float* v,
              const SgdNumbers& numbers);  // v or null
  void (*adamw)(int64_t n, float* p, const float* g, float* m, float* v,
                const AdamWNumbers& numbers);
  void (*ema)(int64_t n, float* average, const float* p, float rest);
};

KINTSUGI_KERNELS(OptimizeKernels, optimize_kernels)

}  // namespace kintsugi::cpu
