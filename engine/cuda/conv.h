// Fast f32 convolution: dense ones by oneDNN, depthwise and small groups by kernels of our own.
// Arguments as in engine/ref/conv.h; false, with nothing written, where no kernel applies.
#pragma once

#include "kintsugi/engine/ops/conv.h"

namespace kintsugi::cuda {

bool conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias,
            const ops::Conv2dParams& params, const Tensor& y);
bool conv2d_backward_input(const Tensor& dy, const Tensor& weight, const ops::Conv2dParams& params,
                           const Tensor& dx);
bool conv2d_backward_weight(const Tensor& x, const Tensor& dy, const ops::Conv2dParams& params,
                            const Tensor& dweight, const Tensor& dbias);

}  // namespace kintsugi::cuda
