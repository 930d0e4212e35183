// Plain matrix products over any strides: oracle and fallback. Never installed.
#pragma once

#include "kintsugi/engine/core/tensor.h"

namespace kintsugi::ref {

// a (batch...,M,K), b (batch...,K,N), y (batch...,M,N): the batch already broadcast.
void matmul(const Tensor& a, const Tensor& b, const Tensor& y);
// x (R,I), weight (O,I), bias (O) or undefined, y (R,O).
void linear(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& y);
// Undefined results are left out.
void linear_backward(const Tensor& x, const Tensor& weight, const Tensor& dy, const Tensor& dx,
                     const Tensor& dweight, const Tensor& dbias);

}  // namespace kintsugi::ref
