// Convolution as products of matrices that no one writes out: kernels gather the pixels under a tap
// as they fill their tiles (f32: engine/cuda/tile.h, bf16: engine/cuda/pipeline.h). Dense and
// grouped, any stride, padding and dilation. Arguments as in engine/cuda/conv.h, none empty; x and
// dy of any strides. In bf16, small groups share a product whose weights between them are 0: what
// is not finite in one group of a pixel may reach its neighbours. Never installed.
#pragma once

#include "kintsugi/engine/ops/conv.h"

namespace kintsugi::cuda {

// False for images of 2^31 elements and for 2^31 pixels or more.
bool conv_gemm_takes(const Tensor& x, const Tensor& y);

void conv_gemm(const Tensor& x, const Tensor& weight, const Tensor& bias,
               const ops::Conv2dParams& params, const Tensor& y);
void conv_gemm_backward_input(const Tensor& dy, const Tensor& weight,
                              const ops::Conv2dParams& params, const Tensor& dx);
void conv_gemm_backward_weight(const Tensor& x, const Tensor& dy, const ops::Conv2dParams& params,
                               const Tensor& dweight);

}  // namespace kintsugi::cuda
