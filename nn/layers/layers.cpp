#include "kintsugi/nn/layers/layers.h"

#include <algorithm>

#include "kintsugi/autograd/ops/conv.h"
#include "kintsugi/autograd/ops/elementwise.h"
#include "kintsugi/autograd/ops/layout.h"
#include "kintsugi/autograd/ops/matmul.h"
#include "kintsugi/autograd/ops/norm.h"
#include "kintsugi/autograd/ops/pool.h"
#include "kintsugi/autograd/ops/reduce.h"
#include "kintsugi/engine/program/draws.h"

namespace kintsugi::nn {

Conv2d::Conv2d(int64_t in, int64_t out, const Options& options)
    : params_(ops::Conv2dParams::same(options.stride, options.padding, options.groups)),
      same_(options.same) {
  if (in % options.groups != 0 || out % options.groups != 0) {
    fail(ErrorKind::kShape, "conv2d: ", in, " to ", out, " channels do not divide into ",
         options.groups, " groups");
  }
  const int64_t k = options.kernel;
  weight_ = parameter("weight", {out, in / options.groups, k, k},
                      options.init ? options.init : init::kaiming_normal_fan_out(options.groups));
  if (options.bias) bias_ = parameter("bias", {out}, init::constant(0));
}

Variable Conv2d::forward(const Variable& x) {
  if (!same_) return autograd::conv2d(x, weight_, bias_, params_);
  // As much padding as ceil(size / stride) windows reach beyond the input; the odd row or column
  // comes after.
  ops::Conv2dParams params = params_;
  for (size_t i = 0; i < 2; ++i) {
    const int64_t size = x.size(int(i) + 2), stride = params.stride[i];
    const int64_t reach = (size - 1) / stride * stride + weight_.size(int(i) + 2);
    const int64_t total = std::max<int64_t>(0, reach - size);
    params.padding[2 * i] = total / 2;
    params.padding[2 * i + 1] = total - total / 2;
  }
  return autograd::conv2d(x, weight_, bias_, params);
}

void Conv2d::scale_outputs(const Tensor& scale, const Tensor& shift) {
  const Device device = weight_.value().device();
  const auto on_host = [](const Variable& x) { return x.value().to(kCpu).to(DType::kF64); };
  const auto put = [&](Variable& x, const Tensor& value) {
    x.set_value(value.to(x.value().dtype()).to(device));
  };
  const int64_t out = weight_.size(0);
  put(weight_, ops::mul(on_host(weight_), scale.view({out, 1, 1, 1})));
  if (bias_.defined()) {
    put(bias_, ops::add(ops::mul(on_host(bias_), scale), shift));
  } else {
    bias_ = parameter("bias", {out}, init::constant(0));
    bias_.set_value(shift.to(weight_.value().dtype()).to(device));
  }
}

Linear::Linear(int64_t in, int64_t out, bool bias, Init init) {
  weight_ = parameter("weight", {out, in}, init ? init : init::trunc_normal());
  if (bias) bias_ = parameter("bias", {out}, init::constant(0));
}

Variable Linear::forward(const Variable& x) {
  return autograd::linear(x, weight_, bias_);
}

BatchNorm2d::BatchNorm2d(int64_t channels, double weight, double epsilon) : epsilon_(epsilon) {
  weight_ = parameter("weight", {channels}, init::constant(weight));
  bias_ = parameter("bias", {channels}, init::constant(0));
  running_mean_ = buffer("running_mean", {channels}, 0);
  running_var_ = buffer("running_var", {channels}, 1);
}

void BatchNorm2d::fold_into(Conv2d& conv) {
  const auto on_host = [](const Variable& x) { return x.value().to(kCpu).to(DType::kF64); };
  const Tensor variance = ops::affine(on_host(running_var_), 1, epsilon_);
  const Tensor scale = ops::mul(on_host(weight_), ops::unary(ops::Unary::kRsqrt, variance));
  conv.scale_outputs(scale, ops::sub(on_host(bias_), ops::mul(on_host(running_mean_), scale)));
  forget_tensors();
  folded_ = true;
}

Variable BatchNorm2d::forward(const Variable& x) {
  if (folded_) return x;
  constexpr double kMomentum = 0.1;
  return autograd::batch_norm(x, weight_, bias_, running_mean_.value(), running_var_.value(),
                              training(), kMomentum, epsilon_);
}

LayerNorm::LayerNorm(int64_t channels, double epsilon, bool bias) : epsilon_(epsilon) {
  weight_ = parameter("weight", {channels}, init::constant(1));
  if (bias) bias_ = parameter("bias", {channels}, init::constant(0));
}

Variable LayerNorm::forward(const Variable& x) {
  return autograd::layer_norm(x, weight_, bias_, epsilon_, x.rank() == 4 ? 1 : -1);
}

RmsNorm::RmsNorm(int64_t channels, double epsilon, bool about_mean)
    : epsilon_(epsilon), about_mean_(about_mean) {
  weight_ = parameter("weight", {channels}, init::constant(1));
}

Variable RmsNorm::forward(const Variable& x) {
  using namespace autograd;
  const int dim = x.rank() == 4 ? 1 : x.rank() - 1;
  const double c = double(x.size(dim));
  const Variable off = about_mean_ ? sub(x, mean(x, {dim}, true)) : x;
  const Variable square = mean(unary(ops::Unary::kSquare, off), {dim}, true);
  const Variable power = affine(square, about_mean_ ? c / (c - 1) : 1, epsilon_);
  const Variable weight = x.rank() == 4 ? reshape(weight_, {1, x.size(1), 1, 1}) : weight_;
  return mul(mul(x, unary(ops::Unary::kRsqrt, power)), weight);
}

GroupNorm::GroupNorm(int64_t groups, int64_t channels, double epsilon, bool bias, double weight)
    : groups_(groups), epsilon_(epsilon) {
  weight_ = parameter("weight", {channels}, init::constant(weight));
  if (bias) bias_ = parameter("bias", {channels}, init::constant(0));
}

Variable GroupNorm::forward(const Variable& x) {
  return autograd::group_norm(x, groups_, weight_, bias_, epsilon_);
}

Activation::Activation(Act act) : act_(act) {
  if (act == Act::kStarRelu) {
    scale_ = parameter("scale", {1}, init::constant(1));
    bias_ = parameter("bias", {1}, init::constant(0));
  }
}

bool Activation::fold_into(Conv2d& conv) {
  if (act_ != Act::kRelu) return false;
  conv.append_relu();
  act_ = Act::kNone;
  return true;
}

namespace {
thread_local ObserveActivations* observing = nullptr;
}

ObserveActivations::ObserveActivations(std::function<void(const Tensor&)> observer)
    : observer_(std::move(observer)), outer_(observing) {
  observing = this;
}
ObserveActivations::~ObserveActivations() {
  observing = outer_;
}
void ObserveActivations::show(const Variable& x) {
  if (observing) observing->observer_(x.value());
}

Variable Activation::forward(const Variable& x) {
  using ops::Unary;
  if (act_ != Act::kNone) ObserveActivations::show(x);
  switch (act_) {
    case Act::kNone:
      return x;
    case Act::kRelu:
      return autograd::unary(Unary::kRelu, x);
    case Act::kRelu6:
      return autograd::unary(Unary::kRelu6, x);
    case Act::kGelu:
      return autograd::unary(Unary::kGelu, x);
    case Act::kGeluTanh:
      return autograd::unary(Unary::kGeluTanh, x);
    case Act::kQuickGelu:
      return autograd::mul(x, autograd::unary(Unary::kSigmoid, autograd::affine(x, 1.702, 0)));
    case Act::kSilu:
      return autograd::unary(Unary::kSilu, x);
    case Act::kHardswish:
      return autograd::unary(Unary::kHardswish, x);
    case Act::kSigmoid:
      return autograd::unary(Unary::kSigmoid, x);
    case Act::kHardsigmoid:
      return autograd::unary(Unary::kHardsigmoid, x);
    case Act::kTanh:
      return autograd::unary(Unary::kTanh, x);
    case Act::kStarRelu:
      return autograd::star_relu(x, scale_, bias_);
    case Act::kSquaredRelu:
      return autograd::unary(Unary::kSquare, autograd::unary(Unary::kRelu, x));
  }
  fail(ErrorKind::kMissing, "activation: no kernel for number ", int(act_));
}

Variable MaxPool2d::forward(const Variable& x) {
  return autograd::max_pool2d(x, params_);
}

Variable AvgPool2d::forward(const Variable& x) { return autograd::avg_pool2d(x, params_); }

Variable GlobalAvgPool::forward(const Variable& x) {
  const Variable y = autograd::adaptive_avg_pool2d(x, 1, 1);
  return keep_grid_ ? y : autograd::reshape(y, {x.size(0), x.size(1)});
}

Variable DropPath::forward(const Variable& x) {
  if (!training() || p_ == 0) return x;
  Shape shape = Shape::filled(x.rank(), 1);
  shape[0] = x.size(0);
  const DType dtype = parameter_dtype(x.value().dtype());
  const Tensor kept = bernoulli(shape, 1 - p_, dtype, x.value().device());
  return autograd::mul(x, Variable(ops::affine(kept, 1 / (1 - p_), 0)));
}

SqueezeExcite::SqueezeExcite(int64_t channels, int64_t reduced, const std::string& reduce_name,
                             const std::string& expand_name, Act gate, Act act)
    : reduce_(child<Conv2d>(reduce_name, channels, reduced, Conv2d::Options{.bias = true})),
      expand_(child<Conv2d>(expand_name, reduced, channels, Conv2d::Options{.bias = true})),
      act_(child<Activation>("act", act)),
      gate_(child<Activation>("gate", gate)) {}

Variable SqueezeExcite::forward(const Variable& x) {
  const Variable pooled = autograd::adaptive_avg_pool2d(x, 1, 1);
  return autograd::mul(x, gate_(expand_(act_(reduce_(pooled)))));
}

}  // namespace kintsugi::nn
