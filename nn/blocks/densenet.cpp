#include "kintsugi/nn/blocks/densenet.h"

#include "kintsugi/autograd/ops/layout.h"

namespace kintsugi::nn {

namespace {

constexpr int64_t kBottleneck = 4;

}  // namespace

DenseLayer::DenseLayer(int64_t in, int64_t growth) : branch_(child<Sequential>("")) {
  branch_.add<BatchNorm2d>("norm1", in);
  branch_.add<Activation>("act1", Act::kRelu);
  branch_.add<Conv2d>("conv1", in, kBottleneck * growth, Conv2d::Options{});
  branch_.add<BatchNorm2d>("norm2", kBottleneck * growth);
  branch_.add<Activation>("act2", Act::kRelu);
  branch_.add<Conv2d>("conv2", kBottleneck * growth, growth,
                      Conv2d::Options{.kernel = 3, .padding = 1});
}

Variable DenseLayer::forward(const Variable& x) {
  return autograd::concat({x, branch_(x)}, 1);
}

std::shared_ptr<Module> dense_transition(int64_t in) {
  auto transition = std::make_shared<Sequential>();
  transition->add<BatchNorm2d>("norm", in);
  transition->add<Activation>("act", Act::kRelu);
  transition->add<Conv2d>("conv", in, in / 2, Conv2d::Options{});
  transition->add<AvgPool2d>("pool", ops::Pool2dParams::square(2, 2));
  return transition;
}

}  // namespace kintsugi::nn
