#include "kintsugi/bench/simd/fma.h"

#include "kintsugi/engine/cpu/simd/vec.h"

namespace kintsugi::cpu::KINTSUGI_ISA {

namespace {

// Enough independent sums to hide the latency of two multiply-adds a cycle.
constexpr int kSums = 12;

float run(int64_t rounds, float seed) {
  Vec sums[kSums];
  for (int i = 0; i < kSums; ++i) sums[i] = splat(seed + float(i));
  const Vec scale = splat(0.999f), step = splat(seed);
  for (int64_t round = 0; round < rounds; ++round) {
    for (int i = 0; i < kSums; ++i) sums[i] = sums[i] * scale + step;
  }
  Vec total = sums[0];
  for (int i = 1; i < kSums; ++i) total += sums[i];
  float result = 0;
  for (int i = 0; i < kLanes; ++i) result += total[i];
  return result;
}

}  // namespace

extern const FmaKernels fma_kernels_table{int64_t(2) * kSums * kLanes, run};

}  // namespace kintsugi::cpu::KINTSUGI_ISA
