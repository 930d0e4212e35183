// MobileNetV2 and V3: https://arxiv.org/abs/1801.04381, https://arxiv.org/abs/1905.02244.
#include <algorithm>

#include "kintsugi/autograd/ops/layout.h"
#include "kintsugi/autograd/ops/pool.h"
#include "kintsugi/nn/blocks/mobilenet.h"
#include "kintsugi/zoo/families/families.h"

namespace kintsugi::zoo::families {

namespace {

using nn::Act;

struct Stage {
  enum class Kind { kSeparable, kInverted, kConv } kind;
  int64_t repeat, kernel, stride;
  double expand;
  int64_t channels;
  double se = 0;  // of the expanded channels
  Act act = Act::kRelu6;
  bool joined = false;  // numbered on from the stage before, as timm groups stages of one resolution
};

struct Description {
  std::vector<Stage> stages;
  int64_t stem;
  int64_t head;
  bool head_after_pool;  // V3: pooled before the head's convolution, which has a bias and no norm
  Act act;
  Act gate = Act::kSigmoid;
  double width = 1;
  bool small = false;    // the stem keeps the resolution
  // timm's tags for V2 with a width multiplier leave the head at 1280; so do those of V3.
};

// The nearest multiple of 8, but never below 90 % of the value.
int64_t round_channels(double channels) {
  const int64_t rounded = std::max<int64_t>(8, int64_t(channels + 4) / 8 * 8);
  return double(rounded) < 0.9 * channels ? rounded + 8 : rounded;
}

class Stem : public nn::Module {
 public:
  Stem(int64_t in, int64_t out, int64_t stride, Act act)
      : conv_(child<nn::Conv2d>("conv_stem", in, out,
                                nn::Conv2d::Options{.kernel = 3, .stride = stride, .padding = 1})),
        bn1_(child<nn::BatchNorm2d>("bn1", out)),
        act_(child<nn::Activation>("act1", act)) {}

 protected:
  nn::Variable forward(const nn::Variable& x) override { return act_(bn1_(conv_(x))); }

 private:
  nn::Conv2d& conv_;
  nn::BatchNorm2d& bn1_;
  nn::Activation& act_;
};

class Head : public nn::Module {
 public:
  Head(int64_t in, int64_t features, int64_t classes, bool after_pool, Act act)
      : after_pool_(after_pool),
        conv_(child<nn::Conv2d>("conv_head", in, features, nn::Conv2d::Options{.bias = after_pool})),
        norm_(adopt("bn2", after_pool ? std::shared_ptr<nn::Module>(std::make_shared<nn::Identity>())
                                      : std::make_shared<nn::BatchNorm2d>(features))),
        act_(child<nn::Activation>("act2", act)),
        classifier_(child<nn::Linear>("classifier", features, classes)) {}

 protected:
  nn::Variable forward(const nn::Variable& x) override {
    const auto pool = [](const nn::Variable& y) { return autograd::adaptive_avg_pool2d(y, 1, 1); };
    const nn::Variable y = after_pool_ ? act_(norm_(conv_(pool(x)))) : pool(act_(norm_(conv_(x))));
    return classifier_(autograd::reshape(y, {y.size(0), y.size(1)}));
  }

 private:
  bool after_pool_;
  nn::Conv2d& conv_;
  nn::Module& norm_;
  nn::Activation& act_;
  nn::Linear& classifier_;
};

std::shared_ptr<nn::Network> build(const Variant& variant, const BuildOptions& options,
                                   const Description& d) {
  auto network = std::make_shared<nn::Network>(variant.name, options.input, options.classes);
  network->first_conv = "conv_stem.weight";
  network->classifier = "classifier";
  int64_t in = round_channels(double(d.stem) * d.width);
  network->set_stem("", std::make_shared<Stem>(options.input[0], in, d.small ? 1 : 2, d.act));
  int64_t total = 0, index = 0, stage_number = -1, number = 0;
  for (const Stage& stage : d.stages) total += stage.repeat;
  for (const Stage& stage : d.stages) {
    const int64_t out = round_channels(double(stage.channels) * d.width);
    if (!stage.joined) {
      ++stage_number;
      number = 0;
    }
    for (int64_t i = 0; i < stage.repeat; ++i, ++index, ++number) {
      const int64_t expanded =
          stage.kind == Stage::Kind::kInverted ? round_channels(double(in) * stage.expand) : in;
      nn::MobileBlockOptions block{
          .kernel = stage.kernel,
          .stride = i == 0 ? stage.stride : 1,
          .se_channels = stage.se > 0 ? round_channels(double(expanded) * stage.se) : 0,
          .act = stage.act,
          .gate = d.gate,
          .drop_path = drop_path_at(options.drop_path, index, total)};
      std::shared_ptr<nn::Module> module;
      switch (stage.kind) {
        case Stage::Kind::kSeparable:
          module = std::make_shared<nn::DepthwiseSeparable>(in, out, block);
          break;
        case Stage::Kind::kInverted:
          module = std::make_shared<nn::InvertedResidual>(in, expanded, out, block);
          break;
        case Stage::Kind::kConv:
          module = std::make_shared<nn::ConvBnAct>(in, out, block);
          break;
      }
      network->add_block("blocks." + std::to_string(stage_number) + "." + std::to_string(number),
                         std::move(module));
      in = out;
    }
  }
  network->set_head("", std::make_shared<Head>(in, d.head, options.classes, d.head_after_pool, d.act));
  return network;
}

Variant variant(const std::string& name, const Description& d) {
  Variant v{.name = name, .family = "mobilenet"};
  v.build = [d](const Variant& self, const BuildOptions& options) { return build(self, options, d); };
  if (d.small) {
    v.input = {1, 28, 28};
    v.classes = 10;
    v.preprocessing = fashion_mnist_preprocessing();
  }
  return v;
}

Description v2(double width) {
  constexpr auto kDs = Stage::Kind::kSeparable;
  constexpr auto kIr = Stage::Kind::kInverted;
  return {.stages = {{kDs, 1, 3, 1, 1, 16},
                     {kIr, 2, 3, 2, 6, 24},
                     {kIr, 3, 3, 2, 6, 32},
                     {kIr, 4, 3, 2, 6, 64},
                     {kIr, 3, 3, 1, 6, 96},
                     {kIr, 3, 3, 2, 6, 160},
                     {kIr, 1, 3, 1, 6, 320}},
          .stem = 32,
          .head = std::max<int64_t>(1280, round_channels(1280 * width)),
          .head_after_pool = false,
          .act = Act::kRelu6,
          .width = width};
}

Description v3_large(double width) {
  constexpr auto kDs = Stage::Kind::kSeparable;
  constexpr auto kIr = Stage::Kind::kInverted;
  constexpr auto kCn = Stage::Kind::kConv;
  constexpr Act kRe = Act::kRelu, kHs = Act::kHardswish;
  return {.stages = {{kDs, 1, 3, 1, 1, 16, 0, kRe},
                     {kIr, 1, 3, 2, 4, 24, 0, kRe},
                     {kIr, 1, 3, 1, 3, 24, 0, kRe, true},
                     {kIr, 3, 5, 2, 3, 40, 0.25, kRe},
                     {kIr, 1, 3, 2, 6, 80, 0, kHs},
                     {kIr, 1, 3, 1, 2.5, 80, 0, kHs, true},
                     {kIr, 2, 3, 1, 2.3, 80, 0, kHs, true},
                     {kIr, 2, 3, 1, 6, 112, 0.25, kHs},
                     {kIr, 3, 5, 2, 6, 160, 0.25, kHs},
                     {kCn, 1, 1, 1, 1, 960, 0, kHs}},
          .stem = 16,
          .head = 1280,
          .head_after_pool = true,
          .act = kHs,
          .gate = Act::kHardsigmoid,
          .width = width};
}

Description v3_nano() {
  constexpr auto kDs = Stage::Kind::kSeparable;
  constexpr auto kIr = Stage::Kind::kInverted;
  constexpr Act kRe = Act::kRelu, kHs = Act::kHardswish;
  return {.stages = {{kDs, 1, 3, 1, 1, 16, 0, kRe},
                     {kIr, 1, 3, 2, 4, 24, 0, kRe},
                     {kIr, 2, 3, 1, 3, 24, 0, kRe},
                     {kIr, 1, 5, 2, 4, 48, 0.25, kHs},
                     {kIr, 2, 5, 1, 3, 48, 0.25, kHs},
                     {kIr, 1, 3, 1, 4, 64, 0.25, kHs},
                     {kIr, 1, 3, 1, 3, 64, 0.25, kHs}},
          .stem = 16,
          .head = 256,
          .head_after_pool = true,
          .act = kHs,
          .gate = Act::kHardsigmoid,
          .small = true};
}

}  // namespace

std::vector<Variant> mobilenet() {
  return {
      variant("mobilenetv2_050", v2(0.5)),
      variant("mobilenetv2_100", v2(1)),
      variant("mobilenetv2_140", v2(1.4)),
      variant("mobilenetv3_large_075", v3_large(0.75)),
      variant("mobilenetv3_large_100", v3_large(1)),
      variant("mobilenetv3_nano", v3_nano()),
  };
}

}  // namespace kintsugi::zoo::families
