#include "kintsugi/nn/layers/channel_attention.h"

#include <cmath>

#include "kintsugi/autograd/ops/conv.h"
#include "kintsugi/autograd/ops/elementwise.h"
#include "kintsugi/autograd/ops/layout.h"
#include "kintsugi/autograd/ops/pool.h"

namespace kintsugi::nn {

namespace {

// The odd number nearest to (log2 C + 1) / 2 in timm's rounding, at least 3.
int64_t kernel_of(int64_t channels) {
  const int64_t k = int64_t((std::log2(double(channels)) + 1) / 2);
  return std::max<int64_t>(k % 2 == 1 ? k : k + 1, 3);
}

}  // namespace

// Over (N,C) with zeros beyond the ends, as a grid of one row; its weight is (1,1,k).
class EfficientChannelAttention::Conv1d : public Module {
 public:
  explicit Conv1d(int64_t kernel)
      : kernel_(kernel),
        weight_(parameter("weight", {1, 1, kernel}, init::uniform_fan_in(kernel))) {}

 protected:
  Variable forward(const Variable& x) override {
    ops::Conv2dParams params;
    params.padding = {0, 0, kernel_ / 2, kernel_ / 2};
    const Variable row = autograd::reshape(x, {x.size(0), 1, 1, x.size(1)});
    return autograd::conv2d(row, autograd::reshape(weight_, {1, 1, 1, kernel_}), {}, params);
  }

 private:
  int64_t kernel_;
  Variable weight_;
};

EfficientChannelAttention::EfficientChannelAttention(int64_t channels)
    : conv_(child<Conv1d>("conv", kernel_of(channels))),
      gate_(child<Activation>("gate", Act::kSigmoid)) {}

Variable EfficientChannelAttention::forward(const Variable& x) {
  const Variable pooled =
      autograd::reshape(autograd::adaptive_avg_pool2d(x, 1, 1), {x.size(0), x.size(1)});
  return autograd::mul(x, autograd::reshape(gate_(conv_(pooled)), {x.size(0), x.size(1), 1, 1}));
}

}  // namespace kintsugi::nn
