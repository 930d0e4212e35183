// Reference kernels of the optimiser steps, in float and double. All tensors are dense in one order
// of memory; v of sgd_step may be undefined. Never installed.
#pragma once

#include "kintsugi/engine/ops/optimize.h"

namespace kintsugi::ref {

void sgd_step(Tensor& p, const Tensor& g, Tensor& v, const ops::SgdStep& step);
void adamw_step(Tensor& p, const Tensor& g, Tensor& m, Tensor& v, const ops::AdamWStep& step);
void ema_step(Tensor& average, const Tensor& p, double decay);

}  // namespace kintsugi::ref
