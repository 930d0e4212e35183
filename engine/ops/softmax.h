// Softmax and its logarithm along one dimension, shifted by the maximum.
#pragma once

#include "kintsugi/engine/core/tensor.h"

namespace kintsugi::ops {

Tensor softmax(const Tensor& x, int dim);
Tensor softmax_backward(const Tensor& y, const Tensor& dy, int dim);  // y: the forward's result
Tensor log_softmax(const Tensor& x, int dim);
Tensor log_softmax_backward(const Tensor& y, const Tensor& dy, int dim);

}  // namespace kintsugi::ops
