#include "kintsugi/nn/layers/global_context.h"

#include "kintsugi/autograd/ops/elementwise.h"
#include "kintsugi/autograd/ops/layout.h"
#include "kintsugi/autograd/ops/matmul.h"
#include "kintsugi/autograd/ops/softmax.h"

namespace kintsugi::nn {

GlobalContext::GlobalContext(int64_t channels, int64_t reduced, Act act)
    : attn_(child<Conv2d>("conv_attn", channels, 1, Conv2d::Options{.bias = true})),
      mlp_(child<Sequential>("mlp_scale")) {
  mlp_.add<Conv2d>("fc1", channels, reduced, Conv2d::Options{.bias = true});
  mlp_.add<LayerNorm>("norm", reduced);
  mlp_.add<Activation>("act", act);
  mlp_.add<Conv2d>("fc2", reduced, channels, Conv2d::Options{.bias = true});
  mlp_.add<Activation>("gate", Act::kSigmoid);
}

Variable GlobalContext::forward(const Variable& x) {
  const int64_t n = x.size(0), c = x.size(1), pixels = x.size(2) * x.size(3);
  const Variable weights = autograd::softmax(autograd::reshape(attn_(x), {n, 1, pixels}), 2);
  const Variable context = autograd::matmul(weights, autograd::grid_to_tokens(x));  // (n,1,c)
  return autograd::mul(x, mlp_(autograd::reshape(context, {n, c, 1, 1})));
}

}  // namespace kintsugi::nn
