// Pooling by its definition: the oracle and the fallback. Any strides, f32 and f64; sums in double.
// Arguments as in engine/ops/pool.h, checked there; results are allocated by the caller.
#pragma once

#include "kintsugi/engine/ops/pool.h"

namespace kintsugi::ref {

void max_pool2d(const Tensor& x, const ops::Pool2dParams& params, const Tensor& y,
                const Tensor& indices);
void max_pool2d_backward(const Tensor& dy, const Tensor& indices, const ops::Pool2dParams& params,
                         const Tensor& dx);
void avg_pool2d(const Tensor& x, const ops::Pool2dParams& params, const Tensor& y);
void avg_pool2d_backward(const Tensor& dy, const ops::Pool2dParams& params, const Tensor& dx);
void adaptive_avg_pool2d(const Tensor& x, const Tensor& y);
void adaptive_avg_pool2d_backward(const Tensor& dy, const Tensor& dx);

}  // namespace kintsugi::ref
