#include "kintsugi/nn/blocks/resnetv2.h"

#include "kintsugi/autograd/ops/elementwise.h"
#include "kintsugi/nn/blocks/resnet.h"
#include "kintsugi/nn/layers/standardised_conv.h"

namespace kintsugi::nn {

namespace {

using autograd::add;

// timm's names: "downsample.pool", "downsample.conv".
std::shared_ptr<Module> make_downsample(int64_t in, int64_t out, const PreActOptions& options) {
  if (in == out && options.stride == 1) return nullptr;
  auto downsample = std::make_shared<Sequential>();
  if (options.avg_down && options.stride > 1) {
    downsample->adopt("pool", make_shortcut_pool());
  }
  downsample->adopt("conv", make_conv(in, out, {.stride = options.avg_down ? 1 : options.stride},
                                      options.standardised));
  return downsample;
}

}  // namespace

std::shared_ptr<Module> make_conv(int64_t in, int64_t out, const Conv2d::Options& options,
                                  bool standardised) {
  if (standardised) return std::make_shared<StandardisedConv2d>(in, out, options, 1e-8);
  return std::make_shared<Conv2d>(in, out, options);
}

PreActBasic::PreActBasic(int64_t in, int64_t out, const PreActOptions& options)
    : norm1_(child<NormAct>("norm1", options.norm, in, Act::kRelu)),
      conv1_(
          adopt("conv1", make_conv(in, out, {.kernel = 3, .stride = options.stride, .padding = 1},
                                   options.standardised))),
      norm2_(child<NormAct>("norm2", options.norm, out, Act::kRelu)),
      conv2_(
          adopt("conv2", make_conv(out, out, {.kernel = 3, .padding = 1}, options.standardised))),
      drop_path_(child<DropPath>("drop_path", options.drop_path)),
      downsample_(make_downsample(in, out, options)) {
  if (downsample_) adopt("downsample", downsample_);
}

Variable PreActBasic::forward(const Variable& x) {
  const Variable normed = norm1_(x);
  const Variable y = conv2_(norm2_(conv1_(normed)));
  return add(drop_path_(y), downsample_ ? (*downsample_)(normed) : x);
}

PreActBottleneck::PreActBottleneck(int64_t in, int64_t out, const PreActOptions& options)
    : norm1_(child<NormAct>("norm1", options.norm, in, Act::kRelu)),
      conv1_(adopt("conv1", make_conv(in, out / 4, {}, options.standardised))),
      norm2_(child<NormAct>("norm2", options.norm, out / 4, Act::kRelu)),
      conv2_(adopt("conv2", make_conv(out / 4, out / 4,
                                      {.kernel = 3, .stride = options.stride, .padding = 1},
                                      options.standardised))),
      norm3_(child<NormAct>("norm3", options.norm, out / 4, Act::kRelu)),
      conv3_(adopt("conv3", make_conv(out / 4, out, {}, options.standardised))),
      drop_path_(child<DropPath>("drop_path", options.drop_path)),
      downsample_(make_downsample(in, out, options)) {
  if (downsample_) adopt("downsample", downsample_);
}

Variable PreActBottleneck::forward(const Variable& x) {
  const Variable normed = norm1_(x);
  const Variable y = conv3_(norm3_(conv2_(norm2_(conv1_(normed)))));
  return add(drop_path_(y), downsample_ ? (*downsample_)(normed) : x);
}

}  // namespace kintsugi::nn
