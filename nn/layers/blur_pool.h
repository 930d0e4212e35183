// Anti-aliased down-sampling (Zhang 2019): a 3x3 binomial filter with stride 2 over a border that
// is reflected, or zero. The filter is no parameter and is in no checkpoint.
#pragma once

#include "kintsugi/nn/module.h"

namespace kintsugi::nn {

class BlurPool2d : public Module {
 public:
  explicit BlurPool2d(bool reflected = true) : reflected_(reflected) {}

 protected:
  Variable forward(const Variable& x) override;

 private:
  bool reflected_;
};

}  // namespace kintsugi::nn
