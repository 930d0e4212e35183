// Plain losses in float and double, sums in double: the CPU has no other kernel. Never installed.
//
// Operands are contiguous; targets are i64 (N), in range, or of the logits' dtype (N,K).
#pragma once

#include "kintsugi/engine/core/tensor.h"

namespace kintsugi::ref {

void cross_entropy(const Tensor& logits, const Tensor& targets, double smoothing,
                   const Tensor& loss, const Tensor& probabilities);
void cross_entropy_backward(const Tensor& probabilities, const Tensor& targets, double smoothing,
                            const Tensor& dloss, const Tensor& dlogits);

}  // namespace kintsugi::ref
