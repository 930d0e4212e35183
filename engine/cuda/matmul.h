// Matrix products. Never installed.
#pragma once

#include "kintsugi/engine/core/tensor.h"

namespace kintsugi::cuda {

// As in engine/ref/matmul.h, for f32 and bf16, weight, bias and their gradients f32 beside either;
// false for another dtype. y, dx and dweight are contiguous. An operand is copied only where
// neither of its last two strides is 1, or where a batch has no regular distances.
bool matmul(const Tensor& a, const Tensor& b, const Tensor& y);
// With `relu`, max(0, .) of it, where a NaN may become 0.
bool linear(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& y,
            bool relu = false);
bool linear_backward(const Tensor& x, const Tensor& weight, const Tensor& dy, const Tensor& dx,
                     const Tensor& dweight, const Tensor& dbias);

}  // namespace kintsugi::cuda
