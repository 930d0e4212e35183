// Fast f32 optimiser steps; false for another dtype. As kintsugi/engine/ref/optimize.h. Never
// installed.
#pragma once

#include "kintsugi/engine/ops/optimize.h"

namespace kintsugi::cpu {

bool sgd_step(std::span<const ops::SgdTensors> parameters, const ops::SgdStep& step);
bool adamw_step(std::span<const ops::AdamWTensors> parameters, const ops::AdamWStep& step);
bool ema_step(std::span<const ops::EmaTensors> values, double decay);

}  // namespace kintsugi::cpu
