// f32 resizing on the device: false for another dtype and for extents past 2^29. Never installed.
#pragma once

#include "kintsugi/engine/ops/resize.h"

namespace kintsugi::cuda {

// y and dx are channels last.
bool resize2d(const Tensor& x, ops::Interpolation interpolation, Tensor& y);
bool resize2d_backward(const Tensor& dy, ops::Interpolation interpolation, Tensor& dx);

}  // namespace kintsugi::cuda
