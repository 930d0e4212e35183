// Losses in f32; false for other dtypes. Operands as in engine/ref/loss.h. Never installed.
#pragma once

#include "kintsugi/engine/core/tensor.h"

namespace kintsugi::cuda {

bool cross_entropy(const Tensor& logits, const Tensor& targets, double smoothing,
                   const Tensor& loss, const Tensor& probabilities);
bool cross_entropy_backward(const Tensor& probabilities, const Tensor& targets, double smoothing,
                            const Tensor& dloss, const Tensor& dlogits);

}  // namespace kintsugi::cuda
