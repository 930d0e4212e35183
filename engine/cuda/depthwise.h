// Convolutions whose groups have one input channel each: (C, m * C filters). Arguments as in
// engine/cuda/conv.h, none empty; x and dy of any strides. Never installed.
#pragma once

#include "kintsugi/engine/ops/conv.h"

namespace kintsugi::cuda {

void depthwise(const Tensor& x, const Tensor& weight, const Tensor& bias,
               const ops::Conv2dParams& params, const Tensor& y);
void depthwise_backward_input(const Tensor& dy, const Tensor& weight,
                              const ops::Conv2dParams& params, const Tensor& dx);
void depthwise_backward_weight(const Tensor& x, const Tensor& dy, const ops::Conv2dParams& params,
                               const Tensor& dweight);

}  // namespace kintsugi::cuda
