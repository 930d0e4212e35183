#include "kintsugi/engine/ops/elementwise.h"
#include "kintsugi/engine/ops/reduce.h"
#include "kintsugi/nn/forward_hook.h"
#include "kintsugi/nn/layers/standardised_conv.h"
#include "kintsugi/zoo/proxies/gradients.h"
#include "kintsugi/zoo/proxies/proxies.h"

namespace kintsugi::zoo {

namespace {

bool is_weighted(nn::Module& module) {
  return dynamic_cast<nn::Conv2d*>(&module) || dynamic_cast<nn::Linear*>(&module) ||
         dynamic_cast<nn::StandardisedConv2d*>(&module);
}

// Sum of the squares of what a image's channel gives: x is a dL/da, (N,C,H,W), (N,T,C) or (N,C).
double squares(const Tensor& x) {
  Tensor per_channel = x;
  if (x.rank() == 4) per_channel = ops::reduce(ops::Reduce::kSum, x, {2, 3});
  if (x.rank() == 3) per_channel = ops::reduce(ops::Reduce::kSum, x, {1});
  double sum = 0;
  for (const double v : per_channel.to_vector<double>()) sum += v * v;
  return sum;
}

}  // namespace

double fisher(nn::Network& network, const ProxyBatch& batch) {
  ProxyScope scope(network);
  scope.want_gradients(true);
  double sum = 0;
  const nn::ForwardHook hook([&](nn::Module& module, const nn::Variable& a) {
    if (!is_weighted(module)) return a;
    return autograd::differentiable(
        "fisher", a.value(), {a},
        [&sum, kept = autograd::Saved(a.value())](const Tensor& dy, const autograd::Wants&) {
          sum += squares(ops::mul(kept.get(), dy));
          return autograd::Tensors{dy};
        });
  });
  backward_of_loss(network, batch);
  return sum / (2 * double(batch.images.size(0)));
}

}  // namespace kintsugi::zoo
