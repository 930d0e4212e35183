#include "kintsugi/engine/cpu/simd/optimize.h"

#include "kintsugi/engine/cpu/simd/lanes.h"
#include "kintsugi/engine/cpu/simd/vec.h"

namespace kintsugi::cpu::KINTSUGI_ISA {

namespace {

Vec sqrt(Vec x) {
  for (int i = 0; i < kLanes; ++i) x[i] = __builtin_sqrtf(x[i]);
  return x;
}

void sgd(int64_t n, float* p, const float* g, float* v, const SgdNumbers& numbers) {
  each_vector(n, [&](const auto& lanes, int64_t i) {
    const Vec weight = lanes.get(p + i);
    Vec d = lanes.get(g + i) + numbers.weight_decay * weight;
    if (v) {
      const Vec velocity = numbers.momentum * lanes.get(v + i) + d;
      lanes.put(v + i, velocity);
      d = numbers.nesterov ? d + numbers.momentum * velocity : velocity;
    }
    lanes.put(p + i, weight - numbers.lr * d);
  });
}

void adamw(int64_t n, float* p, const float* g, float* m, float* v, const AdamWNumbers& numbers) {
  each_vector(n, [&](const auto& lanes, int64_t i) {
    const Vec d = lanes.get(g + i);
    const Vec mean = numbers.beta1 * lanes.get(m + i) + numbers.rest1 * d;
    const Vec square = numbers.beta2 * lanes.get(v + i) + numbers.rest2 * d * d;
    lanes.put(m + i, mean);
    lanes.put(v + i, square);
    const Vec root = sqrt(square) * numbers.scale + numbers.epsilon;
    lanes.put(p + i, numbers.keep * lanes.get(p + i) - numbers.step * mean / root);
  });
}

// A step towards p: what does not move keeps its average to the bit.
void ema(int64_t n, float* average, const float* p, float rest) {
  each_vector(n, [&](const auto& lanes, int64_t i) {
    const auto held = lanes.get(average + i);
    lanes.put(average + i, held + rest * (lanes.get(p + i) - held));
  });
}

}  // namespace

extern const OptimizeKernels optimize_kernels_table = {sgd, adamw, ema};

}  // namespace kintsugi::cpu::KINTSUGI_ISA
