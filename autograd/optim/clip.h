// Gradient clipping.
#pragma once

#include "kintsugi/autograd/optim/optimizer.h"

namespace kintsugi::autograd {

// Scales all gradients so that their joint 2-norm is at most max_norm; returns the norm before.
double clip_grad_norm(const Optimizer& optimizer, double max_norm);

}  // namespace kintsugi::autograd
