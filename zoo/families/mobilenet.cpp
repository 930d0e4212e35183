// MobileNetV1, V2 and V3: https://arxiv.org/abs/1704.04861, https://arxiv.org/abs/1801.04381, https://arxiv.org/abs/1905.02244.
#include <algorithm>

#include "kintsugi/zoo/families/families.h"
#include "kintsugi/zoo/families/mobile.h"

namespace kintsugi::zoo::families {

namespace {

using nn::Act;
constexpr auto kDs = nn::MobileKind::kSeparable;
constexpr auto kIr = nn::MobileKind::kInverted;

// `head`: a convolution before the classifier, which the paper has not.
MobileDescription v1(double width, int64_t head = 0) {
  return {.stages = {plain_stage(1, 3, 1, 64), plain_stage(2, 3, 2, 128), plain_stage(2, 3, 2, 256),
                     plain_stage(6, 3, 2, 512), plain_stage(2, 3, 2, 1024)},
          .head = head,
          .act = Act::kRelu6,
          .width = width};
}

// The head never gets narrower; timm's "d" variants scale depth and leave stem and head alone.
MobileDescription v2(double width, double depth = 1) {
  const bool fixed = depth != 1;
  return {.stages = {{kDs, 1, 3, 1, 1, 16},
                     {kIr, 2, 3, 2, 6, 24},
                     {kIr, 3, 3, 2, 6, 32},
                     {kIr, 4, 3, 2, 6, 64},
                     {kIr, 3, 3, 1, 6, 96},
                     {kIr, 3, 3, 2, 6, 160},
                     {kIr, 1, 3, 1, 6, 320}},
          .head = fixed ? 1280 : std::max<int64_t>(1280, round_channels(1280 * width)),
          .act = Act::kRelu6,
          .width = width,
          .depths = {depth},
          .fixed_ends = fixed};
}

MobileDescription v3(std::vector<MobileStage> stages, int64_t head, double width,
                     double depth = 1) {
  return {.stages = std::move(stages),
          .stem = 16,
          .head = head,
          .head_after_pool = true,
          .act = Act::kHardswish,
          .gate = Act::kHardsigmoid,
          .se_act = Act::kRelu,
          .squeeze = MobileDescription::Squeeze::kInnerRounded,
          .width = width,
          .depths = {depth},
          .fixed_ends = width < 0.75,
          .torchvision_epsilon = 1e-3};
}

MobileDescription large(double width, double depth = 1) {
  constexpr Act kRe = Act::kRelu;
  return v3({{kDs, 1, 3, 1, 1, 16, 0, kRe},
             {kIr, 1, 3, 2, 4, 24, 0, kRe},
             {kIr, 1, 3, 1, 3, 24, 0, kRe, true},
             {kIr, 3, 5, 2, 3, 40, 0.25, kRe},
             {kIr, 1, 3, 2, 6, 80},
             {kIr, 1, 3, 1, 2.5, 80, 0, {}, true},
             {kIr, 2, 3, 1, 2.3, 80, 0, {}, true},
             {kIr, 2, 3, 1, 6, 112, 0.25},
             {kIr, 3, 5, 2, 6, 160, 0.25},
             conv_stage(960)},
            1280, width, depth);
}

MobileDescription small(double width) {
  constexpr Act kRe = Act::kRelu;
  return v3({{kDs, 1, 3, 2, 1, 16, 0.25, kRe},
             {kIr, 1, 3, 2, 4.5, 24, 0, kRe},
             {kIr, 1, 3, 1, 3.67, 24, 0, kRe, true},
             {kIr, 1, 5, 2, 4, 40, 0.25},
             {kIr, 2, 5, 1, 6, 40, 0.25, {}, true},
             {kIr, 2, 5, 1, 3, 48, 0.25},
             {kIr, 3, 5, 2, 6, 96, 0.25},
             conv_stage(576)},
            1024, width);
}

// Without what costs more than it is worth on some devices: 5x5 kernels, squeeze-and-excitation,
// swish.
MobileDescription minimal(MobileDescription d) {
  for (MobileStage& stage : d.stages) {
    stage.kernel = std::min<int64_t>(stage.kernel, 3);
    stage.se = 0;
  }
  d.act = Act::kRelu;
  return d;
}

// timm's own reading of the paper, from before Google's code was out.
MobileDescription rw() {
  MobileDescription d = large(1);
  d.stages.front().shortcut = false;
  d.head_bias = false;
  d.se_act = {};
  d.squeeze = MobileDescription::Squeeze::kInner;
  d.norm.epsilon = 1e-3;
  return d;
}

MobileDescription nano() {
  constexpr Act kRe = Act::kRelu;
  MobileDescription d = v3({{kDs, 1, 3, 1, 1, 16, 0, kRe},
                            {kIr, 1, 3, 2, 4, 24, 0, kRe},
                            {kIr, 2, 3, 1, 3, 24, 0, kRe},
                            {kIr, 1, 5, 2, 4, 48, 0.25},
                            {kIr, 2, 5, 1, 3, 48, 0.25},
                            {kIr, 1, 3, 1, 4, 64, 0.25},
                            {kIr, 1, 3, 1, 3, 64, 0.25}},
                           256, 1);
  d.small = true;
  return d;
}

Variant variant(const std::string& name, const MobileDescription& description,
                const Preprocessing& preprocessing = imagenet_preprocessing(),
                const Shape& input = {3, 224, 224}) {
  Variant v = mobile_variant(name, "mobilenet", description);
  v.preprocessing = preprocessing;
  v.input = input;
  return v;
}

Preprocessing half(double crop_pct) {
  Preprocessing preprocessing = half_preprocessing(crop_pct);
  preprocessing.interpolation = "bilinear";
  return preprocessing;
}

}  // namespace

std::vector<Variant> mobilenet() {
  Variant small_images =
      variant("mobilenetv3_nano", nano(), fashion_mnist_preprocessing(), {1, 28, 28});
  small_images.classes = 10;
  return {
      variant("mobilenetv1_100", v1(1), half_preprocessing(0.875)),
      variant("mobilenetv1_100h", v1(1, 1024), half_preprocessing(0.875)),
      variant("mobilenetv1_125", v1(1.25), half_preprocessing(0.9)),
      variant("mobilenetv2_035", v2(0.35)),
      variant("mobilenetv2_050", v2(0.5)),
      variant("mobilenetv2_075", v2(0.75)),
      variant("mobilenetv2_100", v2(1)),
      variant("mobilenetv2_110d", v2(1.1, 1.2)),
      variant("mobilenetv2_120d", v2(1.2, 1.4)),
      variant("mobilenetv2_140", v2(1.4)),
      variant("mobilenetv3_large_075", large(0.75), imagenet_preprocessing(0.875, "bilinear")),
      variant("mobilenetv3_large_100", large(1)),
      variant("mobilenetv3_large_150d", large(1.5, 1.2), half(0.95), {3, 256, 256}),
      variant("mobilenetv3_small_050", small(0.5)),
      variant("mobilenetv3_small_075", small(0.75)),
      variant("mobilenetv3_small_100", small(1)),
      variant("mobilenetv3_rw", rw()),
      variant("tf_mobilenetv3_large_075", tensorflow(large(0.75)), half(0.875)),
      variant("tf_mobilenetv3_large_100", tensorflow(large(1)), half(0.875)),
      variant("tf_mobilenetv3_large_minimal_100", tensorflow(minimal(large(1))), half(0.875)),
      variant("tf_mobilenetv3_small_075", tensorflow(small(0.75)), half(0.875)),
      variant("tf_mobilenetv3_small_100", tensorflow(small(1)), half(0.875)),
      variant("tf_mobilenetv3_small_minimal_100", tensorflow(minimal(small(1))), half(0.875)),
      std::move(small_images),
  };
}

}  // namespace kintsugi::zoo::families
