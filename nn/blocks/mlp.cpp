#include "kintsugi/nn/blocks/mlp.h"

#include "kintsugi/autograd/ops/elementwise.h"
#include "kintsugi/autograd/ops/layout.h"
#include "kintsugi/autograd/ops/reduce.h"

namespace kintsugi::nn {

namespace {

std::shared_ptr<Module> or_identity(std::shared_ptr<Module> norm) {
  return norm ? std::move(norm) : std::make_shared<Identity>();
}

Conv2d::Options pointwise(bool bias) {
  return {.bias = bias, .init = init::trunc_normal()};
}

}  // namespace

Mlp::Mlp(int64_t channels, int64_t hidden, Act act, bool bias, std::shared_ptr<Module> norm,
         const std::string& norm_name)
    : fc1_(child<Linear>("fc1", channels, hidden, bias)),
      act_(child<Activation>("act", act)),
      norm_(adopt(norm_name, or_identity(std::move(norm)))),
      fc2_(child<Linear>("fc2", hidden, channels, bias)) {}

Variable Mlp::forward(const Variable& x) {
  return fc2_(norm_(act_(fc1_(x))));
}

ConvMlp::ConvMlp(int64_t channels, int64_t hidden, Act act, bool bias, std::shared_ptr<Module> norm,
                 const std::string& norm_name)
    : fc1_(child<Conv2d>("fc1", channels, hidden, pointwise(bias))),
      act_(child<Activation>("act", act)),
      norm_(adopt(norm_name, or_identity(std::move(norm)))),
      fc2_(child<Conv2d>("fc2", hidden, channels, pointwise(bias))) {}

Variable ConvMlp::forward(const Variable& x) {
  return fc2_(norm_(act_(fc1_(x))));
}

SwiGlu::SwiGlu(int64_t channels, int64_t hidden, Form form, bool bias)
    : form_(form),
      gate_(&child<Linear>(form == Form::kTwoLayers ? "fc1_g" : "fc1", channels, hidden, bias)),
      value_(form == Form::kTwoLayers ? &child<Linear>("fc1_x", channels, hidden, bias) : nullptr),
      act_(child<Activation>("act", Act::kSilu)),
      fc2_(child<Linear>("fc2", form == Form::kTwoLayers ? hidden : hidden / 2, channels, bias)) {}

Variable SwiGlu::forward(const Variable& x) {
  const Variable y = (*gate_)(x);
  if (form_ == Form::kTwoLayers) return fc2_(autograd::mul(act_(y), (*value_)(x)));
  const int dim = y.rank() - 1;
  const int64_t half = y.size(dim) / 2;
  const Variable a = autograd::slice(y, dim, 0, half), b = autograd::slice(y, dim, half, 2 * half);
  return fc2_(form_ == Form::kGateFirst ? autograd::mul(act_(a), b) : autograd::mul(a, act_(b)));
}

GlobalResponseNorm::GlobalResponseNorm(int64_t channels) {
  weight_ = parameter("weight", {channels}, init::constant(0));
  bias_ = parameter("bias", {channels}, init::constant(0));
}

Variable GlobalResponseNorm::forward(const Variable& x) {
  using namespace autograd;
  constexpr double kEpsilon = 1e-6;
  const bool grid = x.rank() == 4;
  const int channel = grid ? 1 : 2;
  const Shape shape = grid ? Shape{1, x.size(1), 1, 1} : Shape{1, 1, x.size(2)};
  const Variable norm = unary(
      ops::Unary::kSqrt, sum(unary(ops::Unary::kSquare, x), grid ? Dims{2, 3} : Dims{1}, true));
  const Variable relative = div(norm, affine(mean(norm, {channel}, true), 1, kEpsilon));
  // One pass over x: x * (1 + weight * relative) + bias.
  const Variable factor = affine(mul(reshape(weight_, shape), relative), 1, 1);
  return add(mul(x, factor), reshape(bias_, shape));
}

Variable OnTokens::forward(const Variable& x) {
  return autograd::tokens_to_grid(inner_(autograd::grid_to_tokens(x)), x.size(2), x.size(3));
}

}  // namespace kintsugi::nn
