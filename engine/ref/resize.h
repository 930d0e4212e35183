// Resizing as two sparse matrices, one an axis: the backward is their transpose.
#pragma once

#include "kintsugi/engine/core/tensor.h"
#include "kintsugi/engine/ops/resize.h"

namespace kintsugi::ref {

// y (N,C,OH,OW) from x (N,C,H,W); any strides.
void resize2d(const Tensor& x, const Tensor& y, ops::Interpolation interpolation);
// dx (N,C,H,W) is overwritten.
void resize2d_backward(const Tensor& dy, const Tensor& dx, ops::Interpolation interpolation);

}  // namespace kintsugi::ref
