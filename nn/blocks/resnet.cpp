#include "kintsugi/nn/blocks/resnet.h"

#include "kintsugi/autograd/ops/elementwise.h"

namespace kintsugi::nn {

namespace {

using autograd::add;

// timm's names of the projection shortcut: "downsample.0" and "downsample.1".
std::shared_ptr<Module> make_downsample(int64_t in, int64_t out, int64_t stride) {
  if (in == out && stride == 1) return std::make_shared<Identity>();
  auto downsample = std::make_shared<Sequential>();
  downsample->add<Conv2d>("0", in, out, Conv2d::Options{.stride = stride});
  downsample->add<BatchNorm2d>("1", out);
  return downsample;
}

}  // namespace

ConvNormAct::ConvNormAct(int64_t in, int64_t out, const Conv2d::Options& options, Act act,
                         double bn_weight)
    : conv_(child<Conv2d>("conv", in, out, options)),
      bn_(child<BatchNorm2d>("bn", out, bn_weight)),
      act_(child<Activation>("act", act)) {}

Variable ConvNormAct::forward(const Variable& x) { return act_(bn_(conv_(x))); }

BasicBlock::BasicBlock(int64_t in, int64_t channels, int64_t stride, double drop_path)
    : conv1_(child<Conv2d>("conv1", in, channels,
                           Conv2d::Options{.kernel = 3, .stride = stride, .padding = 1})),
      conv2_(child<Conv2d>("conv2", channels, channels, Conv2d::Options{.kernel = 3, .padding = 1})),
      bn1_(child<BatchNorm2d>("bn1", channels)),
      // The last norm of a residual branch starts at zero, so that every block starts as its shortcut.
      bn2_(child<BatchNorm2d>("bn2", channels, 0.0)),
      act_(child<Activation>("act", Act::kRelu)),
      drop_path_(child<DropPath>("drop_path", drop_path)),
      downsample_(adopt("downsample", make_downsample(in, channels, stride))) {}

Variable BasicBlock::forward(const Variable& x) {
  const Variable y = bn2_(conv2_(act_(bn1_(conv1_(x)))));
  return act_(add(drop_path_(y), downsample_(x)));
}

Bottleneck::Bottleneck(int64_t in, int64_t channels, int64_t stride, int64_t groups,
                       int64_t base_width, double drop_path)
    : conv1_(child<Conv2d>("conv1", in, channels * base_width / 64 * groups, Conv2d::Options{})),
      conv2_(child<Conv2d>(
          "conv2", channels * base_width / 64 * groups, channels * base_width / 64 * groups,
          Conv2d::Options{.kernel = 3, .stride = stride, .padding = 1, .groups = groups})),
      conv3_(child<Conv2d>("conv3", channels * base_width / 64 * groups, channels * kExpansion,
                           Conv2d::Options{})),
      bn1_(child<BatchNorm2d>("bn1", channels * base_width / 64 * groups)),
      bn2_(child<BatchNorm2d>("bn2", channels * base_width / 64 * groups)),
      bn3_(child<BatchNorm2d>("bn3", channels * kExpansion, 0.0)),
      act_(child<Activation>("act", Act::kRelu)),
      drop_path_(child<DropPath>("drop_path", drop_path)),
      downsample_(adopt("downsample", make_downsample(in, channels * kExpansion, stride))) {}

Variable Bottleneck::forward(const Variable& x) {
  const Variable y = bn3_(conv3_(act_(bn2_(conv2_(act_(bn1_(conv1_(x))))))));
  return act_(add(drop_path_(y), downsample_(x)));
}

RegNetBlock::RegNetBlock(int64_t in, int64_t out, int64_t stride, int64_t group_width,
                         int64_t se_channels, double drop_path)
    : conv1_(child<ConvNormAct>("conv1", in, out, Conv2d::Options{}, Act::kRelu)),
      conv2_(child<ConvNormAct>(
          "conv2", out, out,
          Conv2d::Options{.kernel = 3, .stride = stride, .padding = 1, .groups = out / group_width},
          Act::kRelu)),
      se_(adopt("se", se_channels > 0 ? std::shared_ptr<Module>(std::make_shared<SqueezeExcite>(
                                            out, se_channels, "fc1", "fc2"))
                                      : std::make_shared<Identity>())),
      conv3_(child<ConvNormAct>("conv3", out, out, Conv2d::Options{}, Act::kNone, 0.0)),
      drop_path_(child<DropPath>("drop_path", drop_path)),
      downsample_(adopt("downsample",
                        in == out && stride == 1
                            ? std::shared_ptr<Module>(std::make_shared<Identity>())
                            : std::make_shared<ConvNormAct>(
                                  in, out, Conv2d::Options{.stride = stride}, Act::kNone))),
      act3_(child<Activation>("act3", Act::kRelu)) {}

Variable RegNetBlock::forward(const Variable& x) {
  const Variable y = conv3_(se_(conv2_(conv1_(x))));
  return act3_(add(drop_path_(y), downsample_(x)));
}

}  // namespace kintsugi::nn
