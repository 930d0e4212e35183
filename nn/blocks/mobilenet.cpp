#include "kintsugi/nn/blocks/mobilenet.h"

#include "kintsugi/autograd/ops/elementwise.h"

namespace kintsugi::nn {

namespace {

Conv2d::Options depthwise(int64_t channels, const MobileBlockOptions& options) {
  return {.kernel = options.kernel,
          .stride = options.stride,
          .padding = options.kernel / 2,
          .groups = channels};
}

std::shared_ptr<Module> make_se(int64_t channels, const MobileBlockOptions& options) {
  if (options.se_channels == 0) return std::make_shared<Identity>();
  return std::make_shared<SqueezeExcite>(channels, options.se_channels, "conv_reduce",
                                         "conv_expand", options.gate);
}

}  // namespace

DepthwiseSeparable::DepthwiseSeparable(int64_t in, int64_t out, const MobileBlockOptions& options)
    : conv_dw_(child<Conv2d>("conv_dw", in, in, depthwise(in, options))),
      bn1_(child<BatchNorm2d>("bn1", in)),
      se_(adopt("se", make_se(in, options))),
      conv_pw_(child<Conv2d>("conv_pw", in, out, Conv2d::Options{})),
      bn2_(child<BatchNorm2d>("bn2", out)),
      act_(child<Activation>("act", options.act)),
      drop_path_(child<DropPath>("drop_path", options.drop_path)),
      shortcut_(in == out && options.stride == 1) {}

Variable DepthwiseSeparable::forward(const Variable& x) {
  const Variable y = bn2_(conv_pw_(se_(act_(bn1_(conv_dw_(x))))));
  return shortcut_ ? autograd::add(drop_path_(y), x) : y;
}

InvertedResidual::InvertedResidual(int64_t in, int64_t expanded, int64_t out,
                                   const MobileBlockOptions& options)
    : conv_pw_(child<Conv2d>("conv_pw", in, expanded, Conv2d::Options{})),
      bn1_(child<BatchNorm2d>("bn1", expanded)),
      conv_dw_(child<Conv2d>("conv_dw", expanded, expanded, depthwise(expanded, options))),
      bn2_(child<BatchNorm2d>("bn2", expanded)),
      se_(adopt("se", make_se(expanded, options))),
      conv_pwl_(child<Conv2d>("conv_pwl", expanded, out, Conv2d::Options{})),
      bn3_(child<BatchNorm2d>("bn3", out)),
      act_(child<Activation>("act", options.act)),
      drop_path_(child<DropPath>("drop_path", options.drop_path)),
      shortcut_(in == out && options.stride == 1) {}

Variable InvertedResidual::forward(const Variable& x) {
  const Variable mid = act_(bn2_(conv_dw_(act_(bn1_(conv_pw_(x))))));
  const Variable y = bn3_(conv_pwl_(se_(mid)));
  return shortcut_ ? autograd::add(drop_path_(y), x) : y;
}

ConvBnAct::ConvBnAct(int64_t in, int64_t out, const MobileBlockOptions& options)
    : conv_(child<Conv2d>("conv", in, out,
                          Conv2d::Options{.kernel = options.kernel,
                                          .stride = options.stride,
                                          .padding = options.kernel / 2})),
      bn1_(child<BatchNorm2d>("bn1", out)),
      act_(child<Activation>("act", options.act)) {}

Variable ConvBnAct::forward(const Variable& x) { return act_(bn1_(conv_(x))); }

}  // namespace kintsugi::nn
