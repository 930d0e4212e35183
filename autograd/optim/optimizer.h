// Optimisers over groups of named parameters.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "kintsugi/autograd/variable.h"

namespace kintsugi::autograd {

struct ParamGroup {
  std::vector<std::pair<std::string, Variable>> params = {};
  double lr_scale = 1;
  double weight_decay = 0;
  bool frozen = false;  // neither moved nor decayed
};

class Optimizer {
 public:
  virtual ~Optimizer() = default;

  // One step with the base rate `lr`. A parameter that no backward reached stays where it is.
  void step(double lr);
  void zero_grad();
  int64_t steps() const { return steps_; }
  const std::vector<ParamGroup>& groups() const { return groups_; }

  // "<state>.<parameter>": tensors share storage with the optimiser's.
  std::map<std::string, Tensor> state_dict() const;
  // Strict: every tensor of state_dict() and no other, of its shape; copies.
  void load_state_dict(const std::map<std::string, Tensor>& state, int64_t steps);

 protected:
  // `states`: the names of the tensors kept for each parameter, zero at first.
  Optimizer(std::vector<ParamGroup> groups, std::vector<std::string> states);
  // A parameter that moves, with its gradient and its tensors of `states`.
  struct Slot {
    Tensor value, grad;
    std::vector<Tensor> state;
  };
  // All that move of one group: one call of an operator, which a GPU runs in a few launches.
  virtual void update(const std::vector<Slot>& slots, double lr, double weight_decay) = 0;

 private:
  std::vector<ParamGroup> groups_;
  std::vector<std::string> names_;
  std::vector<std::vector<std::vector<Tensor>>> state_;  // group, parameter, name
  int64_t steps_ = 0;
};

}  // namespace kintsugi::autograd
