// Fused optimiser steps, in place on parameters and state; f32 and f64; the tensors of a parameter
// have one shape and order in memory. A call takes many parameters, of one dtype on one device: on a
// GPU they share a few launches.
#pragma once

#include <span>

#include "kintsugi/engine/core/tensor.h"

namespace kintsugi::ops {

// PyTorch's SGD: g += weight_decay*p; v = momentum*v + g (v undefined: no momentum);
// p -= lr * (nesterov ? g + momentum*v : v).
struct SgdStep {
  double lr, momentum = 0, weight_decay = 0;
  bool nesterov = false;
};
struct SgdTensors {
  Tensor p, g, v;  // parameter, gradient, velocity
};
void sgd_step(std::span<const SgdTensors> parameters, const SgdStep& step);
inline void sgd_step(const Tensor& p, const Tensor& g, const Tensor& v, const SgdStep& step) {
  const SgdTensors one{p, g, v};
  sgd_step({&one, 1}, step);
}

// AdamW (Loshchilov & Hutter 2019), decay decoupled: p *= 1 - lr*weight_decay, then Adam's step with
// bias correction for step number t >= 1.
struct AdamWStep {
  double lr, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weight_decay = 0;
  int64_t t = 1;
};
struct AdamWTensors {
  Tensor p, g, m, v;  // parameter, gradient, means of the gradient and of its square
};
void adamw_step(std::span<const AdamWTensors> parameters, const AdamWStep& step);
inline void adamw_step(const Tensor& p, const Tensor& g, const Tensor& m, const Tensor& v,
                       const AdamWStep& step) {
  const AdamWTensors one{p, g, m, v};
  adamw_step({&one, 1}, step);
}

// average <- decay * average + (1 - decay) * p.
struct EmaTensors {
  Tensor average, p;
};
void ema_step(std::span<const EmaTensors> values, double decay);
inline void ema_step(const Tensor& average, const Tensor& p, double decay) {
  const EmaTensors one{average, p};
  ema_step({&one, 1}, decay);
}

}  // namespace kintsugi::ops
