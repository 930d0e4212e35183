// Gathering of rows along a dimension, operands as in engine/ref/layout.h; false for gradients that
// are neither f32 nor bf16. Never installed.
#pragma once

#include "kintsugi/engine/core/tensor.h"

namespace kintsugi::cuda {

bool gather(const Tensor& x, int dim, const Tensor& indices, const Tensor& y);
bool gather_backward(const Tensor& dy, int dim, const Tensor& indices, const Tensor& dx);

}  // namespace kintsugi::cuda
