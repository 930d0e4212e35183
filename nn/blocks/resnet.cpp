#include "kintsugi/nn/blocks/resnet.h"

#include "kintsugi/autograd/ops/elementwise.h"
#include "kintsugi/autograd/ops/layout.h"
#include "kintsugi/nn/layers/blur_pool.h"
#include "kintsugi/nn/layers/channel_attention.h"

namespace kintsugi::nn {

namespace {

using autograd::add;

class PaddedShortcut : public Module {
 public:
  PaddedShortcut(int64_t added, int64_t stride) : added_(added), stride_(stride) {}

 protected:
  Variable forward(const Variable& x) override {
    const Variable rows = autograd::slice(x, 2, 0, x.size(2), stride_);
    const Variable grid = autograd::slice(rows, 3, 0, x.size(3), stride_);
    return autograd::pad(grid, {{1, added_ / 2, added_ - added_ / 2}});
  }

 private:
  int64_t added_, stride_;
};

// timm's names: "downsample.0", "downsample.1" and, behind a pooling, "downsample.2".
std::shared_ptr<Module> make_downsample(int64_t in, int64_t out, const ResidualOptions& options) {
  const int64_t stride = options.stride;
  if (in == out && stride == 1) return std::make_shared<Identity>();
  if (options.shortcut == Shortcut::kPadded) {
    return std::make_shared<PaddedShortcut>(out - in, stride);
  }
  auto downsample = std::make_shared<Sequential>();
  Conv2d::Options conv{.stride = stride};
  if (options.shortcut == Shortcut::kConv3 && stride > 1) {
    conv.kernel = 3;
    conv.padding = 1;
  }
  const bool pools = options.shortcut == Shortcut::kAvg;
  if (pools && stride > 1) {
    downsample->adopt("0", make_shortcut_pool());
    conv.stride = 1;
  }
  downsample->add<Conv2d>(pools ? "1" : "0", in, out, conv);
  downsample->adopt(pools ? "2" : "1", make_norm(options.norm, out));
  return downsample;
}

std::shared_ptr<Module> make_attention(int64_t channels, const ResidualOptions& options) {
  switch (options.attention) {
    case ChannelAttention::kNone:
      return std::make_shared<Identity>();
    case ChannelAttention::kSe: {
      // To the nearest multiple of 8, at least 8.
      const int64_t reduced = int64_t(double(channels) * options.se_ratio + 4) / 8 * 8;
      return std::make_shared<SqueezeExcite>(channels, std::max<int64_t>(reduced, 8), "fc1", "fc2");
    }
    case ChannelAttention::kEca:
      return std::make_shared<EfficientChannelAttention>(channels);
  }
  fail(ErrorKind::kMissing, "channel attention: no module for number ", int(options.attention));
}

bool anti_aliased(const ResidualOptions& options) {
  return options.stride == 2 && options.anti_alias != AntiAlias::kNone;
}

Conv2d::Options spatial(const ResidualOptions& options, int64_t groups = 1) {
  return {.kernel = 3,
          .stride = anti_aliased(options) ? 1 : options.stride,
          .padding = 1,
          .groups = groups};
}

}  // namespace

std::shared_ptr<Module> make_shortcut_pool() {
  ops::Pool2dParams pool = ops::Pool2dParams::square(2, 2);
  pool.ceil_mode = true;
  pool.count_include_pad = false;
  return std::make_shared<AvgPool2d>(pool);
}

std::shared_ptr<Module> make_anti_alias(AntiAlias kind) {
  switch (kind) {
    case AntiAlias::kNone:
      return std::make_shared<Identity>();
    case AntiAlias::kAvg:
      return std::make_shared<AvgPool2d>(ops::Pool2dParams::square(2, 2));
    case AntiAlias::kBlur:
      return std::make_shared<BlurPool2d>();
  }
  fail(ErrorKind::kMissing, "anti-aliasing: no module for number ", int(kind));
}

BasicBlock::BasicBlock(int64_t in, int64_t channels, const ResidualOptions& options)
    : conv1_(child<Conv2d>("conv1", in, channels / options.reduce_first, spatial(options))),
      conv2_(child<Conv2d>("conv2", channels / options.reduce_first, channels,
                           Conv2d::Options{.kernel = 3, .padding = 1})),
      bn1_(adopt("bn1", make_norm(options.norm, channels / options.reduce_first))),
      // The last norm of a residual branch starts at zero, so that every block starts as its
      // shortcut.
      bn2_(adopt("bn2", make_norm(options.norm, channels, 0.0))),
      aa_(adopt("aa",
                make_anti_alias(anti_aliased(options) ? options.anti_alias : AntiAlias::kNone))),
      se_(adopt("se", make_attention(channels, options))),
      act1_(child<Activation>("act1", Act::kRelu)),
      act2_(child<Activation>("act2", Act::kRelu)),
      drop_path_(child<DropPath>("drop_path", options.drop_path)),
      downsample_(adopt("downsample", make_downsample(in, channels, options))) {}

Variable BasicBlock::forward(const Variable& x) {
  const Variable y = bn2_(conv2_(aa_(act1_(bn1_(conv1_(x))))));
  return act2_(add(drop_path_(se_(y)), downsample_(x)));
}

Bottleneck::Bottleneck(int64_t in, int64_t channels, const ResidualOptions& options)
    : Bottleneck(in, channels * kExpansion, channels * options.base_width / 64 * options.groups,
                 options) {}

Bottleneck::Bottleneck(int64_t in, int64_t out, int64_t width, const ResidualOptions& options)
    : conv1_(child<Conv2d>("conv1", in, width / options.reduce_first, Conv2d::Options{})),
      conv2_(child<Conv2d>("conv2", width / options.reduce_first, width,
                           spatial(options, options.groups))),
      conv3_(child<Conv2d>("conv3", width, out, Conv2d::Options{})),
      bn1_(adopt("bn1", make_norm(options.norm, width / options.reduce_first))),
      bn2_(adopt("bn2", make_norm(options.norm, width))),
      bn3_(adopt("bn3", make_norm(options.norm, out, 0.0))),
      aa_(adopt("aa",
                make_anti_alias(anti_aliased(options) ? options.anti_alias : AntiAlias::kNone))),
      se_(adopt("se", make_attention(out, options))),
      act1_(child<Activation>("act1", Act::kRelu)),
      act2_(child<Activation>("act2", Act::kRelu)),
      act3_(child<Activation>("act3", Act::kRelu)),
      drop_path_(child<DropPath>("drop_path", options.drop_path)),
      downsample_(adopt("downsample", make_downsample(in, out, options))) {}

Variable Bottleneck::forward(const Variable& x) {
  const Variable y = bn3_(conv3_(aa_(act2_(bn2_(conv2_(act1_(bn1_(conv1_(x)))))))));
  return act3_(add(drop_path_(se_(y)), downsample_(x)));
}

}  // namespace kintsugi::nn
