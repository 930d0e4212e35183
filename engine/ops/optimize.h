// Fused optimiser steps, in place on parameters and state; f32 and f64; all tensors of one shape and
// order in memory.
#pragma once

#include "kintsugi/engine/core/tensor.h"

namespace kintsugi::ops {

// PyTorch's SGD: g += weight_decay*p; v = momentum*v + g (v undefined: no momentum);
// p -= lr * (nesterov ? g + momentum*v : v).
struct SgdStep {
  double lr, momentum = 0, weight_decay = 0;
  bool nesterov = false;
};
void sgd_step(Tensor& p, const Tensor& g, Tensor& v, const SgdStep& step);

// AdamW (Loshchilov & Hutter 2019), decay decoupled: p *= 1 - lr*weight_decay, then Adam's step with
// bias correction for step number t >= 1.
struct AdamWStep {
  double lr, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weight_decay = 0;
  int64_t t = 1;
};
void adamw_step(Tensor& p, const Tensor& g, Tensor& m, Tensor& v, const AdamWStep& step);

// average <- decay * average + (1 - decay) * p.
void ema_step(Tensor& average, const Tensor& p, double decay);

}  // namespace kintsugi::ops
