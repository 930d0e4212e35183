// Efficient channel attention (Wang et al. 2020): sigmoid(conv1d(mean(x))) * x, the convolution
// running over the channels.
#pragma once

#include "kintsugi/nn/layers/layers.h"

namespace kintsugi::nn {

class EfficientChannelAttention : public Module {
 public:
  explicit EfficientChannelAttention(int64_t channels);

 protected:
  Variable forward(const Variable& x) override;

 private:
  class Conv1d;
  Conv1d& conv_;
  Activation& gate_;
};

}  // namespace kintsugi::nn
