// Norms that are activations at once, of grids (N,C,H,W).
#pragma once

#include "kintsugi/nn/module.h"

namespace kintsugi::nn {

// x * sigmoid(v x) / std(x over 32 groups of channels) * weight + bias (EvoNorm-S0, Liu et al.
// 2020).
class EvoNormS0 : public Module {
 public:
  explicit EvoNormS0(int64_t channels);

 protected:
  Variable forward(const Variable& x) override;

 private:
  Variable weight_, bias_, v_;
};

// max(x / rms(x over the grid) * weight + bias, tau) (Singh and Krishnan 2020).
class FilterResponseNorm : public Module {
 public:
  explicit FilterResponseNorm(int64_t channels);

 protected:
  Variable forward(const Variable& x) override;

 private:
  Variable weight_, bias_, tau_;
};

}  // namespace kintsugi::nn
