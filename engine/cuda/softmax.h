// Softmax of dense tensors in f32 or bf16. Never installed.
#pragma once

#include "kintsugi/engine/core/tensor.h"

namespace kintsugi::cuda {

// Operands share one dense order in memory; false otherwise and for other dtypes.
bool softmax(const Tensor& x, int dim, bool logarithm, const Tensor& y);
bool softmax_backward(const Tensor& y, const Tensor& dy, int dim, bool logarithm, const Tensor& dx);

}  // namespace kintsugi::cuda
