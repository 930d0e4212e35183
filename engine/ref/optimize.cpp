#include "kintsugi/engine/ref/optimize.h"

#include <cmath>

namespace kintsugi::ref {

void sgd_step(Tensor& p, const Tensor& g, Tensor& v, const ops::SgdStep& step) {
  visit_floating("sgd_step", p.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T lr = T(step.lr), momentum = T(step.momentum), decay = T(step.weight_decay);
    T* weight = p.data<T>();
    const T* gradient = g.data<T>();
    T* velocity = v.defined() ? v.data<T>() : nullptr;
    for (int64_t i = 0; i < p.numel(); ++i) {
      T d = gradient[i] + decay * weight[i];
      if (velocity) {
        velocity[i] = momentum * velocity[i] + d;
        d = step.nesterov ? d + momentum * velocity[i] : velocity[i];
      }
      weight[i] -= lr * d;
    }
  });
}

void adamw_step(Tensor& p, const Tensor& g, Tensor& m, Tensor& v, const ops::AdamWStep& step) {
  const double first = 1 - std::pow(step.beta1, double(step.t));
  const double second = 1 - std::pow(step.beta2, double(step.t));
  visit_floating("adamw_step", p.dtype(), [&](auto zero) {
    using T = decltype(zero);
    T *weight = p.data<T>(), *mean = m.data<T>(), *square = v.data<T>();
    const T* gradient = g.data<T>();
    for (int64_t i = 0; i < p.numel(); ++i) {
      const T d = gradient[i];
      mean[i] = T(step.beta1) * mean[i] + T(1 - step.beta1) * d;
      square[i] = T(step.beta2) * square[i] + T(1 - step.beta2) * d * d;
      weight[i] *= T(1 - step.lr * step.weight_decay);
      const T root = std::sqrt(square[i] / T(second)) + T(step.epsilon);
      weight[i] -= T(step.lr) * (mean[i] / T(first)) / root;
    }
  });
}

void ema_step(Tensor& average, const Tensor& p, double decay) {
  visit_floating("ema_step", p.dtype(), [&](auto zero) {
    using T = decltype(zero);
    T* held = average.data<T>();
    const T* value = p.data<T>();
    for (int64_t i = 0; i < p.numel(); ++i) held[i] += T(1 - decay) * (value[i] - held[i]);
  });
}

}  // namespace kintsugi::ref
