// f32 pooling on the device, in gather form: a thread computes what it writes, so that nothing is
// added by two threads. Arguments as in engine/ref/pool.h, of any strides; results are channels
// last. False for another dtype and for extents past 2^29. Never installed.
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
