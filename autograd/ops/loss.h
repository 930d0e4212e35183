// Losses with gradients; contracts as in kintsugi/engine/ops/loss.h.
#pragma once

#include "kintsugi/autograd/variable.h"

namespace kintsugi::autograd {

Variable cross_entropy(const Variable& logits, const Tensor& targets, double smoothing = 0);

}  // namespace kintsugi::autograd
