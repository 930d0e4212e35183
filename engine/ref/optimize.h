// Reference kernels of the optimiser steps, in float and double. All tensors are dense in one order
// of memory; v of sgd_step may be undefined. Never installed.
#pragma once

#include "kintsugi/engine/ops/optimize.h"

namespace kintsugi::ref {

void sgd_step(std::span<const ops::SgdTensors> parameters, const ops::SgdStep& step);
void adamw_step(std::span<const ops::AdamWTensors> parameters, const ops::AdamWStep& step);
void ema_step(std::span<const ops::EmaTensors> values, double decay);

}  // namespace kintsugi::ref
