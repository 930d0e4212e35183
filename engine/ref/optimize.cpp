#include "kintsugi/engine/ref/optimize.h"

#include <cmath>

namespace kintsugi::ref {

namespace {

void sgd_one(const ops::SgdTensors& x, const ops::SgdStep& step) {
  visit_floating("sgd_step", x.p.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T lr = T(step.lr), momentum = T(step.momentum), decay = T(step.weight_decay);
    T* weight = x.p.data<T>();
    const T* gradient = x.g.data<T>();
    T* velocity = x.v.defined() ? x.v.data<T>() : nullptr;
    for (int64_t i = 0; i < x.p.numel(); ++i) {
      T d = gradient[i] + decay * weight[i];
      if (velocity) {
        velocity[i] = momentum * velocity[i] + d;
        d = step.nesterov ? d + momentum * velocity[i] : velocity[i];
      }
      weight[i] -= lr * d;
    }
  });
}

void adamw_one(const ops::AdamWTensors& x, const ops::AdamWStep& step) {
  const double first = 1 - std::pow(step.beta1, double(step.t));
  const double second = 1 - std::pow(step.beta2, double(step.t));
  visit_floating("adamw_step", x.p.dtype(), [&](auto zero) {
    using T = decltype(zero);
    T *weight = x.p.data<T>(), *mean = x.m.data<T>(), *square = x.v.data<T>();
    const T* gradient = x.g.data<T>();
    for (int64_t i = 0; i < x.p.numel(); ++i) {
      const T d = gradient[i];
      mean[i] = T(step.beta1) * mean[i] + T(1 - step.beta1) * d;
      square[i] = T(step.beta2) * square[i] + T(1 - step.beta2) * d * d;
      weight[i] *= T(1 - step.lr * step.weight_decay);
      const T root = std::sqrt(square[i] / T(second)) + T(step.epsilon);
      weight[i] -= T(step.lr) * (mean[i] / T(first)) / root;
    }
  });
}

void ema_one(const ops::EmaTensors& x, double decay) {
  visit_floating("ema_step", x.p.dtype(), [&](auto zero) {
    using T = decltype(zero);
    T* held = x.average.data<T>();
    const T* value = x.p.data<T>();
    for (int64_t i = 0; i < x.p.numel(); ++i) held[i] += T(1 - decay) * (value[i] - held[i]);
  });
}

}  // namespace

void sgd_step(std::span<const ops::SgdTensors> parameters, const ops::SgdStep& step) {
  for (const auto& x : parameters) sgd_one(x, step);
}

void adamw_step(std::span<const ops::AdamWTensors> parameters, const ops::AdamWStep& step) {
  for (const auto& x : parameters) adamw_one(x, step);
}

void ema_step(std::span<const ops::EmaTensors> values, double decay) {
  for (const auto& x : values) ema_one(x, decay);
}

}  // namespace kintsugi::ref
