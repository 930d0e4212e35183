// Exponential moving averages of named tensors (Polyak & Juditsky 1992).
#pragma once

#include <map>
#include <string>

#include "kintsugi/engine/core/tensor.h"

namespace kintsugi::autograd {

class Ema {
 public:
  // Averages start as copies. With `ramp` the decay of update t is min(decay, (1+t)/(10+t)), so that
  // short runs are not held back by their beginnings.
  Ema(const std::map<std::string, Tensor>& tensors, double decay, bool ramp = true);

  // The same names and shapes as at the start.
  void update(const std::map<std::string, Tensor>& tensors);
  const std::map<std::string, Tensor>& averages() const { return averages_; }
  int64_t steps() const { return steps_; }
  void load(const std::map<std::string, Tensor>& averages, int64_t steps);

 private:
  std::map<std::string, Tensor> averages_;
  double decay_;
  bool ramp_;
  int64_t steps_ = 0;
};

}  // namespace kintsugi::autograd
