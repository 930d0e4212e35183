// Elementwise operators with gradients; contracts as in kintsugi/engine/ops/elementwise.h.
#pragma once

#include "kintsugi/autograd/variable.h"
#include "kintsugi/engine/ops/elementwise.h"

namespace kintsugi::autograd {

Variable unary(ops::Unary op, const Variable& x);
Variable leaky_relu(const Variable& x, double negative_slope);
Variable pow(const Variable& x, double exponent);
Variable clamp(const Variable& x, double low, double high);
Variable affine(const Variable& x, double scale, double shift);
Variable star_relu(const Variable& x, const Variable& scale, const Variable& bias);
Variable binary(ops::Binary op, const Variable& a, const Variable& b);
inline Variable add(const Variable& a, const Variable& b) { return binary(ops::Binary::kAdd, a, b); }
inline Variable sub(const Variable& a, const Variable& b) { return binary(ops::Binary::kSub, a, b); }
inline Variable mul(const Variable& a, const Variable& b) { return binary(ops::Binary::kMul, a, b); }
inline Variable div(const Variable& a, const Variable& b) { return binary(ops::Binary::kDiv, a, b); }
Variable where(const Tensor& condition, const Variable& a, const Variable& b);

}  // namespace kintsugi::autograd
