#include "kintsugi/autograd/ops/loss.h"

#include "kintsugi/autograd/ops/autocast.h"
#include "kintsugi/engine/ops/loss.h"

namespace kintsugi::autograd {

Variable cross_entropy(const Variable& scores, const Tensor& targets, double smoothing) {
  const Variable logits = in_f32(scores);
  const ops::CrossEntropy forward = ops::cross_entropy(logits.value(), targets, smoothing);
  return differentiable(
      "cross_entropy", forward.loss, {logits},
      [forward, targets, smoothing](const Tensor& dy, const Wants&) {
        return Tensors{ops::cross_entropy_backward(forward, targets, smoothing, dy)};
      });
}

}  // namespace kintsugi::autograd
