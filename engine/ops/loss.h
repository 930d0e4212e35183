// Losses. Each returns the mean over the batch as shape () and what its backward needs.
#pragma once

#include "kintsugi/engine/core/tensor.h"

namespace kintsugi::ops {

// logits (N,K). Hard: targets i64 (N), a label outside [0,K) is an Error that names its position, but
// on a device, where looking would wait for it, makes the loss NaN;
// smoothing s gives (1-s) to the label and s/K to every class (Szegedy et al. 2016).
// Soft: targets (N,K) in the logits' dtype, each row summing to 1 by the caller's care; no smoothing.
struct CrossEntropy {
  Tensor loss;           // ()
  Tensor probabilities;  // (N,K): softmax of the logits
};
CrossEntropy cross_entropy(const Tensor& logits, const Tensor& targets, double smoothing = 0);
// dlogits for the mean loss, times dloss (shape ()).
Tensor cross_entropy_backward(const CrossEntropy& forward, const Tensor& targets, double smoothing,
                              const Tensor& dloss);

}  // namespace kintsugi::ops
