#include "kintsugi/autograd/ops/attention.h"

#include "kintsugi/autograd/ops/autocast.h"
#include "kintsugi/engine/ops/attention.h"

namespace kintsugi::autograd {

Variable attention(const Variable& queries, const Variable& keys, const Variable& values,
                   const Variable& scores_bias, double scale) {
  const Variable q = autocast(queries), k = autocast(keys), v = autocast(values);
  const Variable bias = in_f32(scores_bias);
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
