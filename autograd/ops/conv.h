// Differentiable convolution; contract in engine/ops/conv.h.
#pragma once

#include "kintsugi/autograd/variable.h"
#include "kintsugi/engine/ops/conv.h"

namespace kintsugi::autograd {

// `bias` may be undefined.
Variable conv2d(const Variable& x, const Variable& weight, const Variable& bias,
                const ops::Conv2dParams& params);

}  // namespace kintsugi::autograd
