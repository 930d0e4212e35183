// Fast f32 optimiser steps; false for another dtype. As kintsugi/engine/ref/optimize.h. Never
// installed.
#pragma once

#include "kintsugi/engine/ops/optimize.h"

namespace kintsugi::cuda {

bool sgd_step(Tensor& p, const Tensor& g, Tensor& v, const ops::SgdStep& step);
bool adamw_step(Tensor& p, const Tensor& g, Tensor& m, Tensor& v, const ops::AdamWStep& step);
bool ema_step(Tensor& average, const Tensor& p, double decay);

}  // namespace kintsugi::cuda
