#include "kintsugi/autograd/optim/adamw.h"

#include "kintsugi/engine/ops/optimize.h"

namespace kintsugi::autograd {

AdamW::AdamW(std::vector<ParamGroup> groups, double beta1, double beta2, double epsilon)
    : Optimizer(std::move(groups), {"exp_avg", "exp_avg_sq"}),
      beta1_(beta1),
      beta2_(beta2),
      epsilon_(epsilon) {}

void AdamW::update(Tensor& p, const Tensor& g, std::vector<Tensor>& state, double lr,
                   double weight_decay) {
  ops::adamw_step(p, g, state[0], state[1], {lr, beta1_, beta2_, epsilon_, weight_decay, steps()});
}

}  // namespace kintsugi::autograd
