// Losses are small beside the networks before them: the plain loops do. Never installed.
#pragma once

#include "kintsugi/engine/ref/loss.h"

namespace kintsugi::cpu {

inline bool cross_entropy(const Tensor& logits, const Tensor& targets, double smoothing,
                          const Tensor& loss, const Tensor& probabilities) {
  ref::cross_entropy(logits, targets, smoothing, loss, probabilities);
  return true;
}
inline bool cross_entropy_backward(const Tensor& probabilities, const Tensor& targets,
                                   double smoothing, const Tensor& dloss, const Tensor& dlogits) {
  ref::cross_entropy_backward(probabilities, targets, smoothing, dloss, dlogits);
  return true;
}

}  // namespace kintsugi::cpu
