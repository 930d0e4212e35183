// Differentiable pooling; contracts in engine/ops/pool.h.
#pragma once

#include "kintsugi/autograd/variable.h"
#include "kintsugi/engine/ops/pool.h"

namespace kintsugi::autograd {

Variable max_pool2d(const Variable& x, const ops::Pool2dParams& params);
Variable avg_pool2d(const Variable& x, const ops::Pool2dParams& params);
Variable adaptive_avg_pool2d(const Variable& x, int64_t out_h, int64_t out_w);

}  // namespace kintsugi::autograd
