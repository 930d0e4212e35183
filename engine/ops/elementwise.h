// Elementwise operators. All return new tensors; operands of two-operand forms broadcast as NumPy
// does, need one dtype (f32 beside bf16 gives bf16) and give a result channels last where an operand
// is.
#pragma once

#include "kintsugi/engine/core/tensor.h"

namespace kintsugi::ops {

enum class Unary {
  kNeg, kAbs, kExp, kLog, kSqrt, kRsqrt, kSquare, kReciprocal,
  kRelu, kGelu /* exact, by erf */, kGeluTanh, kSilu, kHardswish, kHardsigmoid, kSigmoid, kTanh,
  kRelu6,
};
const char* name_of(Unary op);

Tensor unary(Unary op, const Tensor& x);
// dx = dy * f'(x); `y` is the forward's result, which some derivatives read instead of x.
Tensor unary_backward(Unary op, const Tensor& x, const Tensor& y, const Tensor& dy);

Tensor leaky_relu(const Tensor& x, double negative_slope);
Tensor leaky_relu_backward(const Tensor& x, const Tensor& dy, double negative_slope);

// x^p for a fixed p; x < 0 with fractional p gives NaN, as std::pow does.
Tensor pow(const Tensor& x, double exponent);
Tensor pow_backward(const Tensor& x, const Tensor& dy, double exponent);

// min(max(x, low), high); the gradient is passed where low <= x <= high.
Tensor clamp(const Tensor& x, double low, double high);
Tensor clamp_backward(const Tensor& x, const Tensor& dy, double low, double high);

// scale * x + shift, with numbers.
Tensor affine(const Tensor& x, double scale, double shift);

// s * relu(x)^2 + b with s and b of shape (1) (MetaFormer baselines, Yu et al. 2022).
Tensor star_relu(const Tensor& x, const Tensor& scale, const Tensor& bias);
struct StarReluGrads {
  Tensor dx, dscale, dbias;
};
StarReluGrads star_relu_backward(const Tensor& x, const Tensor& scale, const Tensor& dy);

enum class Binary { kAdd, kSub, kMul, kDiv, kMaximum, kMinimum };
const char* name_of(Binary op);

Tensor binary(Binary op, const Tensor& a, const Tensor& b);
inline Tensor add(const Tensor& a, const Tensor& b) { return binary(Binary::kAdd, a, b); }
inline Tensor sub(const Tensor& a, const Tensor& b) { return binary(Binary::kSub, a, b); }
inline Tensor mul(const Tensor& a, const Tensor& b) { return binary(Binary::kMul, a, b); }
inline Tensor div(const Tensor& a, const Tensor& b) { return binary(Binary::kDiv, a, b); }

// dst += src, same shape: gradients are summed with it. Bumps dst's version.
void add_in_place(Tensor& dst, const Tensor& src);

// condition (bool) ? a : b; all three broadcast.
Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b);
// bool results.
enum class Compare { kLess, kLessEqual, kGreater, kGreaterEqual, kEqual, kNotEqual };
Tensor compare(Compare op, const Tensor& a, const Tensor& b);

}  // namespace kintsugi::ops
