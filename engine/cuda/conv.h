// Convolution of f32 or bf16 on the device, weights and their gradients f32: depthwise ones by
// kernels of their own (engine/cuda/depthwise.h), all others as products of matrices
// (engine/cuda/conv_gemm.h), those of f32 in the precision of Context::math. Arguments as in
// engine/ref/conv.h; results channels last. False, with nothing written, for another dtype and for
// extents past what kernels count. Never installed.
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
