// A loop of nothing but multiply-adds: what the processor can do at most.
#pragma once

#include <cstdint>

#include "kintsugi/engine/cpu/isa.h"

namespace kintsugi::cpu {

struct FmaKernels {
  int64_t flops_per_round;
  float (*run)(int64_t rounds, float seed);  // the result keeps the loop alive
};
KINTSUGI_KERNELS(FmaKernels, fma_kernels)

}  // namespace kintsugi::cpu
