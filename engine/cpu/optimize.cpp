#include "kintsugi/engine/cpu/optimize.h"

#include <cmath>

#include "kintsugi/engine/cpu/parallel.h"
#include "kintsugi/engine/cpu/simd/optimize.h"

namespace kintsugi::cpu {

namespace {

constexpr int64_t kGrain = 16384;

}  // namespace

bool sgd_step(std::span<const ops::SgdTensors> parameters, const ops::SgdStep& step) {
  if (parameters[0].p.dtype() != DType::kF32) return false;
  const SgdNumbers numbers{float(step.lr), float(step.momentum), float(step.weight_decay),
                           step.nesterov};
  for (const auto& [p, g, v] : parameters) {
    float *weight = p.data<float>(), *velocity = v.defined() ? v.data<float>() : nullptr;
    const float* gradient = g.data<float>();
    parallel_for(p.numel(), kGrain, [&](int64_t begin, int64_t end) {
      optimize_kernels().sgd(end - begin, weight + begin, gradient + begin,
                             velocity ? velocity + begin : nullptr, numbers);
    });
  }
  return true;
}

bool adamw_step(std::span<const ops::AdamWTensors> parameters, const ops::AdamWStep& step) {
  if (parameters[0].p.dtype() != DType::kF32) return false;
  // 1 - beta in double: of 0.999 the float's rounding would be 1e-5 of the difference.
  const double first = 1 - std::pow(step.beta1, double(step.t));
  const double second = 1 - std::pow(step.beta2, double(step.t));
  const AdamWNumbers numbers{float(step.beta1),
                             float(1 - step.beta1),
                             float(step.beta2),
                             float(1 - step.beta2),
                             float(1 - step.lr * step.weight_decay),
                             float(step.lr / first),
                             float(1 / std::sqrt(second)),
                             float(step.epsilon)};
  for (const auto& [p, g, m, v] : parameters) {
    float *weight = p.data<float>(), *mean = m.data<float>(), *square = v.data<float>();
    const float* gradient = g.data<float>();
    parallel_for(p.numel(), kGrain, [&](int64_t begin, int64_t end) {
      optimize_kernels().adamw(end - begin, weight + begin, gradient + begin, mean + begin,
                               square + begin, numbers);
    });
  }
  return true;
}

bool ema_step(std::span<const ops::EmaTensors> values, double decay) {
  if (values[0].p.dtype() != DType::kF32) return false;
  for (const auto& [average, p] : values) {
    float* held = average.data<float>();
    const float* value = p.data<float>();
    parallel_for(p.numel(), kGrain, [&](int64_t begin, int64_t end) {
      optimize_kernels().ema(end - begin, held + begin, value + begin, float(1 - decay));
    });
  }
  return true;
}

}  // namespace kintsugi::cpu
