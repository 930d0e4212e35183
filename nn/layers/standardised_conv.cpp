#include "kintsugi/nn/layers/standardised_conv.h"

#include "kintsugi/autograd/ops/conv.h"
#include "kintsugi/autograd/ops/layout.h"
#include "kintsugi/autograd/ops/norm.h"

namespace kintsugi::nn {

StandardisedConv2d::StandardisedConv2d(int64_t in, int64_t out, const Conv2d::Options& options,
                                       double epsilon)
    : params_(ops::Conv2dParams::same(options.stride, options.padding, options.groups)),
      epsilon_(epsilon),
      weight_(parameter("weight", {out, in / options.groups, options.kernel, options.kernel},
                        init::kaiming_normal_fan_out(options.groups))) {}

Variable StandardisedConv2d::forward(const Variable& x) {
  const Shape shape = weight_.shape();
  const Variable rows = autograd::reshape(weight_, {shape[0], shape.numel() / shape[0]});
  const Variable standard = autograd::layer_norm(rows, {}, {}, epsilon_);
  return autograd::conv2d(x, autograd::reshape(standard, shape), {}, params_);
}

}  // namespace kintsugi::nn
