#include "kintsugi/autograd/optim/sgd.h"

#include "kintsugi/engine/ops/optimize.h"

namespace kintsugi::autograd {

Sgd::Sgd(std::vector<ParamGroup> groups, double momentum, bool nesterov)
    : Optimizer(std::move(groups),
                momentum != 0 ? std::vector<std::string>{"momentum_buffer"}
                              : std::vector<std::string>{}),
      momentum_(momentum),
      nesterov_(nesterov) {}

void Sgd::update(Tensor& p, const Tensor& g, std::vector<Tensor>& state, double lr,
                 double weight_decay) {
  Tensor none;
  ops::sgd_step(p, g, state.empty() ? none : state[0], {lr, momentum_, weight_decay, nesterov_});
}

}  // namespace kintsugi::autograd
