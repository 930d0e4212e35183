// Fast f32 pooling over channels-last grids. Arguments as in engine/ref/pool.h; false, with nothing
// written, where no kernel applies.
#pragma once

#include "kintsugi/engine/ops/pool.h"

namespace kintsugi::cuda {

bool max_pool2d(const Tensor& x, const ops::Pool2dParams& params, const Tensor& y,
                const Tensor& indices);
bool max_pool2d_backward(const Tensor& dy, const Tensor& indices, const ops::Pool2dParams& params,
                         const Tensor& dx);
bool avg_pool2d(const Tensor& x, const ops::Pool2dParams& params, const Tensor& y);
bool avg_pool2d_backward(const Tensor& dy, const ops::Pool2dParams& params, const Tensor& dx);
bool adaptive_avg_pool2d(const Tensor& x, const Tensor& y);
bool adaptive_avg_pool2d_backward(const Tensor& dy, const Tensor& dx);

}  // namespace kintsugi::cuda
