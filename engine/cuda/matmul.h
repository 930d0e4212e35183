// Matrix products in f32. Never installed.
#pragma once

#include "kintsugi/engine/core/tensor.h"

namespace kintsugi::cuda {

// As in engine/ref/matmul.h; y, dx and dweight are contiguous.
bool matmul(const Tensor& a, const Tensor& b, const Tensor& y);
bool linear(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& y);
bool linear_backward(const Tensor& x, const Tensor& weight, const Tensor& dy, const Tensor& dx,
                     const Tensor& dweight, const Tensor& dbias);

}  // namespace kintsugi::cuda
