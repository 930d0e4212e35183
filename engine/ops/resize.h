// Resizing of grids (N,C,H,W), half-pixel centres (align_corners=False), no antialiasing, as
// torch.nn.functional.interpolate; bicubic with a = -0.75. Results channels last.
#pragma once

#include "kintsugi/engine/core/tensor.h"

namespace kintsugi::ops {

enum class Interpolation { kNearest, kBilinear, kBicubic };

Tensor resize2d(const Tensor& x, int64_t out_h, int64_t out_w, Interpolation interpolation);
Tensor resize2d_backward(const Tensor& dy, const Shape& x_shape, Interpolation interpolation);

}  // namespace kintsugi::ops
