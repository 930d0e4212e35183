// AdamW: Loshchilov & Hutter 2019, https://arxiv.org/abs/1711.05101.
#pragma once

#include "kintsugi/autograd/optim/optimizer.h"

namespace kintsugi::autograd {

class AdamW : public Optimizer {
 public:
  explicit AdamW(std::vector<ParamGroup> groups, double beta1 = 0.9, double beta2 = 0.999,
                 double epsilon = 1e-8);

 protected:
  void update(const std::vector<Slot>& slots, double lr, double weight_decay) override;

 private:
  double beta1_, beta2_, epsilon_;
};

}  // namespace kintsugi::autograd
