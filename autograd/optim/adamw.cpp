#include "kintsugi/autograd/optim/adamw.h"

#include "kintsugi/engine/ops/optimize.h"

namespace kintsugi::autograd {

AdamW::AdamW(std::vector<ParamGroup> groups, double beta1, double beta2, double epsilon)
    : Optimizer(std::move(groups), {"exp_avg", "exp_avg_sq"}),
      beta1_(beta1),
      beta2_(beta2),
      epsilon_(epsilon) {}

void AdamW::update(const std::vector<Slot>& slots, double lr, double weight_decay) {
  std::vector<ops::AdamWTensors> list;
  for (const Slot& s : slots) list.push_back({s.value, s.grad, s.state[0], s.state[1]});
  ops::adamw_step(list, {lr, beta1_, beta2_, epsilon_, weight_decay, steps()});
}

}  // namespace kintsugi::autograd
