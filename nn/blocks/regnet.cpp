#include "kintsugi/nn/blocks/regnet.h"

#include "kintsugi/autograd/ops/elementwise.h"
#include "kintsugi/nn/blocks/resnet.h"

namespace kintsugi::nn {

namespace {

using autograd::add;

std::shared_ptr<Module> make_se(const RegNetOptions& options) {
  if (options.se_channels == 0) return std::make_shared<Identity>();
  return std::make_shared<SqueezeExcite>(options.width, options.se_channels, "fc1", "fc2",
                                         Act::kSigmoid, options.act);
}

Conv2d::Options spatial(const RegNetOptions& options) {
  return {.kernel = 3, .stride = options.stride, .padding = 1, .groups = options.groups};
}

// Undefined where there is no shortcut. Behind a pooling the convolution is named "1".
std::shared_ptr<Module> make_shortcut(int64_t in, int64_t out, const RegNetOptions& options,
                                      bool normed) {
  if (in == out && options.stride == 1) return std::make_shared<Identity>();
  if (options.shortcut == RegNetOptions::Shortcut::kNone) return nullptr;
  const bool pools = options.shortcut == RegNetOptions::Shortcut::kAvg;
  const Conv2d::Options conv{.stride = pools ? 1 : options.stride};
  std::shared_ptr<Module> project;
  if (normed) {
    project = std::make_shared<ConvNormAct>(in, out, conv, Act::kNone, 1, options.norm);
  } else {
    project = std::make_shared<Conv2d>(in, out, conv);
  }
  if (!pools) return project;
  auto downsample = std::make_shared<Sequential>();
  if (options.stride > 1) {
    downsample->adopt("0", make_shortcut_pool());
  }
  downsample->adopt("1", std::move(project));
  return downsample;
}

}  // namespace

RegNetBlock::RegNetBlock(int64_t in, int64_t out, const RegNetOptions& options)
    : conv1_(child<ConvNormAct>("conv1", in, options.width, Conv2d::Options{}, options.act, 1.0,
                                options.norm)),
      conv2_(child<ConvNormAct>("conv2", options.width, options.width, spatial(options),
                                options.act, 1.0, options.norm)),
      se_(adopt("se", make_se(options))),
      conv3_(child<ConvNormAct>("conv3", options.width, out, Conv2d::Options{}, Act::kNone, 0.0,
                                options.norm)),
      drop_path_(child<DropPath>("drop_path", options.drop_path)),
      downsample_(make_shortcut(in, out, options, true)),
      act3_(child<Activation>("act3", options.linear ? Act::kNone : options.act)) {
  if (downsample_) adopt("downsample", downsample_);
}

Variable RegNetBlock::forward(const Variable& x) {
  const Variable y = conv3_(se_(conv2_(conv1_(x))));
  return act3_(downsample_ ? add(drop_path_(y), (*downsample_)(x)) : y);
}

PreActRegNetBlock::PreActRegNetBlock(int64_t in, int64_t out, const RegNetOptions& options)
    : norm1_(child<NormAct>("norm1", options.norm, in, options.act)),
      conv1_(child<Conv2d>("conv1", in, options.width, Conv2d::Options{})),
      norm2_(child<NormAct>("norm2", options.norm, options.width, options.act)),
      conv2_(child<Conv2d>("conv2", options.width, options.width, spatial(options))),
      se_(adopt("se", make_se(options))),
      norm3_(child<NormAct>("norm3", options.norm, options.width, options.act)),
      conv3_(child<Conv2d>("conv3", options.width, out, Conv2d::Options{})),
      drop_path_(child<DropPath>("drop_path", options.drop_path)),
      downsample_(adopt("downsample", make_shortcut(in, out, options, false))) {}

Variable PreActRegNetBlock::forward(const Variable& x) {
  const Variable shared = norm1_(x);
  const Variable y = conv3_(norm3_(se_(conv2_(norm2_(conv1_(shared))))));
  return add(drop_path_(y), downsample_(shared));
}

}  // namespace kintsugi::nn
