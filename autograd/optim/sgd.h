// Stochastic gradient descent with momentum, as PyTorch's.
#pragma once

#include "kintsugi/autograd/optim/optimizer.h"

namespace kintsugi::autograd {

class Sgd : public Optimizer {
 public:
  explicit Sgd(std::vector<ParamGroup> groups, double momentum = 0.9, bool nesterov = false);

 protected:
  void update(const std::vector<Slot>& slots, double lr, double weight_decay) override;

 private:
  double momentum_;
  bool nesterov_;
};

}  // namespace kintsugi::autograd
