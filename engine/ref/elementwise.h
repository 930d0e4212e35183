// Reference kernels of the elementwise operators: plain loops in float and double, any strides.
// Outputs have the broadcast shape. Never installed.
#pragma once

#include "kintsugi/engine/ops/elementwise.h"

namespace kintsugi::ref {

void unary(ops::Unary op, const Tensor& x, Tensor& y);
void unary_backward(ops::Unary op, const Tensor& x, const Tensor& y, const Tensor& dy, Tensor& dx);

void leaky_relu(const Tensor& x, double slope, Tensor& y);
void leaky_relu_backward(const Tensor& x, const Tensor& dy, double slope, Tensor& dx);
void pow(const Tensor& x, double exponent, Tensor& y);
void pow_backward(const Tensor& x, const Tensor& dy, double exponent, Tensor& dx);
void clamp(const Tensor& x, double low, double high, Tensor& y);
void clamp_backward(const Tensor& x, const Tensor& dy, double low, double high, Tensor& dx);
void affine(const Tensor& x, double scale, double shift, Tensor& y);
void star_relu(const Tensor& x, const Tensor& scale, const Tensor& bias, Tensor& y);
void star_relu_backward(const Tensor& x, const Tensor& scale, const Tensor& dy,
                        ops::StarReluGrads& grads);

// y may be one of the operands.
void binary(ops::Binary op, const Tensor& a, const Tensor& b, Tensor& y);
void where(const Tensor& condition, const Tensor& a, const Tensor& b, Tensor& y);
void compare(ops::Compare op, const Tensor& a, const Tensor& b, Tensor& y);

}  // namespace kintsugi::ref
