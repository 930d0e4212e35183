// CUDA kernels of the elementwise operators: any strides, operands and result f32 or bf16 each; false
// for another dtype. Never installed.
#pragma once

#include "kintsugi/engine/ops/elementwise.h"

namespace kintsugi::cuda {

bool unary(ops::Unary op, const Tensor& x, Tensor& y);
bool unary_backward(ops::Unary op, const Tensor& x, const Tensor& y, const Tensor& dy, Tensor& dx);
bool leaky_relu(const Tensor& x, double slope, Tensor& y);
bool leaky_relu_backward(const Tensor& x, const Tensor& dy, double slope, Tensor& dx);
bool pow(const Tensor& x, double exponent, Tensor& y);
bool pow_backward(const Tensor& x, const Tensor& dy, double exponent, Tensor& dx);
bool clamp(const Tensor& x, double low, double high, Tensor& y);
bool clamp_backward(const Tensor& x, const Tensor& dy, double low, double high, Tensor& dx);
bool affine(const Tensor& x, double scale, double shift, Tensor& y);
bool star_relu(const Tensor& x, const Tensor& scale, const Tensor& bias, Tensor& y);
bool star_relu_backward(const Tensor& x, const Tensor& scale, const Tensor& dy,
                        ops::StarReluGrads& grads);

// x in y's dtype.
bool convert(const Tensor& x, const Tensor& y);

// y may be one of the operands.
bool binary(ops::Binary op, const Tensor& a, const Tensor& b, Tensor& y);
bool where(const Tensor& condition, const Tensor& a, const Tensor& b, Tensor& y);
bool compare(ops::Compare op, const Tensor& a, const Tensor& b, Tensor& y);

}  // namespace kintsugi::cuda
