#include "kintsugi/nn/layers/acting_norms.h"

#include "kintsugi/autograd/ops/elementwise.h"
#include "kintsugi/autograd/ops/layout.h"
#include "kintsugi/autograd/ops/reduce.h"
#include "kintsugi/nn/init.h"

namespace kintsugi::nn {

namespace {

using namespace autograd;
using ops::Unary;

constexpr double kEpsilon = 1e-5;

// (C) to broadcast over (N,C,H,W).
Variable per_channel(const Variable& x) {
  return reshape(x, {1, x.size(0), 1, 1});
}

// (N,C,1,1): each channel has the mean of its group.
Variable group_mean(const Variable& x, int64_t groups) {
  const int64_t n = x.size(0), c = x.size(1);
  const Variable mean_of_channel = reshape(mean(x, {2, 3}), {n, groups, c / groups});
  const Variable mean_of_group = mean(mean_of_channel, {2}, true);
  return reshape(expand(mean_of_group, {n, groups, c / groups}), {n, c, 1, 1});
}

Variable reciprocal_root(const Variable& x) {
  return unary(Unary::kRsqrt, affine(x, 1, kEpsilon));
}

}  // namespace

EvoNormS0::EvoNormS0(int64_t channels)
    : weight_(parameter("weight", {channels}, init::constant(1))),
      bias_(parameter("bias", {channels}, init::constant(0))),
      v_(parameter("v", {channels}, init::constant(1))) {}

Variable EvoNormS0::forward(const Variable& x) {
  constexpr int64_t kGroups = 32;
  const Variable centred = sub(x, group_mean(x, kGroups));
  const Variable scale = reciprocal_root(group_mean(unary(Unary::kSquare, centred), kGroups));
  const Variable gated = mul(x, unary(Unary::kSigmoid, mul(x, per_channel(v_))));
  return add(mul(mul(gated, scale), per_channel(weight_)), per_channel(bias_));
}

FilterResponseNorm::FilterResponseNorm(int64_t channels)
    : weight_(parameter("weight", {channels}, init::constant(1))),
      bias_(parameter("bias", {channels}, init::constant(0))),
      tau_(parameter("tau", {channels}, init::constant(0))) {}

Variable FilterResponseNorm::forward(const Variable& x) {
  const Variable scale = reciprocal_root(mean(unary(Unary::kSquare, x), {2, 3}, true));
  const Variable y = add(mul(mul(x, scale), per_channel(weight_)), per_channel(bias_));
  return binary(ops::Binary::kMaximum, y, per_channel(tau_));
}

}  // namespace kintsugi::nn
