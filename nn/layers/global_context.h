// Global context (Cao et al. 2019): x * sigmoid(mlp(context)), where the context is the mean over
// the pixels, weighted by a softmax of a 1x1 convolution.
#pragma once

#include "kintsugi/nn/layers/layers.h"

namespace kintsugi::nn {

class GlobalContext : public Module {
 public:
  GlobalContext(int64_t channels, int64_t reduced, Act act);

 protected:
  Variable forward(const Variable& x) override;

 private:
  Conv2d& attn_;
  Sequential& mlp_;
};

}  // namespace kintsugi::nn
