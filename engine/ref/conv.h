// Convolution by its definition: the oracle and the fallback. Any strides, f32 and f64; sums in
// double. Arguments as in engine/ops/conv.h, checked there; results are allocated by the caller.
#pragma once

#include "kintsugi/engine/ops/conv.h"

namespace kintsugi::ref {

void conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias,
            const ops::Conv2dParams& params, const Tensor& y);
void conv2d_backward_input(const Tensor& dy, const Tensor& weight, const ops::Conv2dParams& params,
                           const Tensor& dx);
// dbias may be undefined.
void conv2d_backward_weight(const Tensor& x, const Tensor& dy, const ops::Conv2dParams& params,
                            const Tensor& dweight, const Tensor& dbias);

}  // namespace kintsugi::ref
