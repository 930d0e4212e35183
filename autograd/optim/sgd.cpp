#include "kintsugi/autograd/optim/sgd.h"

#include "kintsugi/engine/ops/optimize.h"

namespace kintsugi::autograd {

Sgd::Sgd(std::vector<ParamGroup> groups, double momentum, bool nesterov)
    : Optimizer(std::move(groups),
                momentum != 0 ? std::vector<std::string>{"momentum_buffer"}
                              : std::vector<std::string>{}),
      momentum_(momentum),
      nesterov_(nesterov) {}

void Sgd::update(const std::vector<Slot>& slots, double lr, double weight_decay) {
  std::vector<ops::SgdTensors> list;
  for (const Slot& s : slots) {
    list.push_back({s.value, s.grad, s.state.empty() ? Tensor() : s.state[0]});
  }
  ops::sgd_step(list, {lr, momentum_, weight_decay, nesterov_});
}

}  // namespace kintsugi::autograd
