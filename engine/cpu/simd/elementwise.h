// SIMD rows of the elementwise operators. Never installed.
#pragma once

#include <cstdint>

#include "kintsugi/engine/cpu/isa.h"

namespace kintsugi::cpu {

// The order of ops::Unary, then the functions with numbers p and q.
enum Function {
  kNeg,
  kAbs,
  kExp,
  kLog,
  kSqrt,
  kRsqrt,
  kSquare,
  kReciprocal,
  kRelu,
  kGelu,
  kGeluTanh,
  kSilu,
  kHardswish,
  kHardsigmoid,
  kSigmoid,
  kTanh,
  kRelu6,
  kLeakyRelu /* slope p */,
  kPow /* exponent p */,
  kClamp /* [p, q] */,
  kAffine /* p x + q */,
  kStarRelu /* p relu(x)^2 + q */,
  kFunctions
};

struct ElementwiseKernels {
  // y[i] = f(x[i]); dx[i] = dy[i] f'(x[i]), where y may be null for functions that do not read it.
  using Forward = void (*)(int64_t n, const float* x, float* y, float p, float q);
  using Backward = void (*)(int64_t n, const float* x, const float* y, const float* dy, float* dx,
                            float p, float q);
  // Rows of n, the operands' rows a_row and b_row apart. Index 0: both are rows; 1: a is one number
  // a row; 2: b is. y may be a or b.
  using Binary = void (*)(int64_t rows, int64_t n, const float* a, int64_t a_row, const float* b,
                          int64_t b_row, float* y, int64_t y_row);
  Forward forward[kFunctions];
  Backward backward[kFunctions];
  Binary binary[6][3];  // in the order of ops::Binary
  // dx[i] = 2 scale dy[i] relu(x[i]), and what the n elements give to the gradients of the scale,
  // dy relu(x)^2, and of the bias, dy.
  void (*star_relu_backward)(int64_t n, const float* x, const float* dy, float* dx, float scale,
                             double* dscale, double* dbias);
};

KINTSUGI_KERNELS(ElementwiseKernels, elementwise_kernels)

}  // namespace kintsugi::cpu
