// Matrix products.
#pragma once

#include "kintsugi/engine/core/tensor.h"

namespace kintsugi::ops {

// (...,M,K) x (...,K,N) -> (...,M,N). Leading dimensions broadcast. Operands may be transposed
// views (Tensor::transpose): no copy is made for them. MACs: batch*M*N*K. Gradients: da =
// matmul(dy, b^T), db = matmul(a^T, dy), each through sum_to for broadcast dims.
Tensor matmul(const Tensor& a, const Tensor& b);

// x (...,I), weight (O,I), bias (O) or undefined -> (...,O): x * weight^T + bias.
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias);
struct LinearGrads {
  Tensor dx, dweight, dbias;
};
// Undefined where not wanted.
LinearGrads linear_backward(const Tensor& x, const Tensor& weight, const Tensor& dy, bool want_dx,
                            bool want_dweight, bool want_dbias);

}  // namespace kintsugi::ops
