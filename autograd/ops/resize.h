// Resizing with gradients; contracts as in kintsugi/engine/ops/resize.h.
#pragma once

#include "kintsugi/autograd/variable.h"
#include "kintsugi/engine/ops/resize.h"

namespace kintsugi::autograd {

Variable resize2d(const Variable& x, int64_t out_h, int64_t out_w, ops::Interpolation interpolation);

}  // namespace kintsugi::autograd
