#include "kintsugi/autograd/ops/attention.h"

#include "kintsugi/engine/ops/attention.h"

namespace kintsugi::autograd {

Variable attention(const Variable& q, const Variable& k, const Variable& v, const Variable& bias,
                   double scale) {
  const ops::Attention y = ops::attention(q.value(), k.value(), v.value(), bias.value(), scale);
  return differentiable(
      "attention", y.output, {q, k, v, bias},
      [q = Saved(q.value()), k = Saved(k.value()), v = Saved(v.value()), bias = Saved(bias.value()),
       output = Saved(y.output), lse = y.logsumexp, scale](const Tensor& dy, const Wants& wants) {
        const ops::AttentionGrads grads = ops::attention_backward(
            q.get(), k.get(), v.get(), bias.get(), scale, {output.get(), lse}, dy, wants[3]);
        return Tensors{grads.dq, grads.dk, grads.dv, grads.dbias};
      });
}

}  // namespace kintsugi::autograd
