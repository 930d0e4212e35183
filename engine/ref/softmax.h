// Plain softmax over any strides: oracle and fallback. Never installed.
#pragma once

#include "kintsugi/engine/core/tensor.h"

namespace kintsugi::ref {

void softmax(const Tensor& x, int dim, bool logarithm, Tensor y);
void softmax_backward(const Tensor& y, const Tensor& dy, int dim, bool logarithm, Tensor dx);

}  // namespace kintsugi::ref
