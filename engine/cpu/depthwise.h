// Depthwise convolution (groups = input channels = output channels) over channels-last f32, by
// engine/cpu/simd/depthwise.h. Never installed.
#pragma once

#include "kintsugi/engine/cpu/conv_shape.h"

namespace kintsugi::cpu {

bool is_depthwise(const ConvShape& shape);

// Weights (c,1,kh,kw) row major; bias and dbias may be null. Return false, with nothing written,
// where a shape is out of reach (a dilation along with a stride in backward input).
bool depthwise(const ConvShape& shape, const float* x, const float* weight, const float* bias,
               float* y);
bool depthwise_backward_input(const ConvShape& shape, const float* dy, const float* weight,
                              float* dx);
bool depthwise_backward_weight(const ConvShape& shape, const float* x, const float* dy,
                               float* dweight, float* dbias);

}  // namespace kintsugi::cpu
