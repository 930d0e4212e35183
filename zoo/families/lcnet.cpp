// PP-LCNet: MobileNetV1's blocks with V3's activations and head. https://arxiv.org/abs/2109.15099.
#include "kintsugi/zoo/families/families.h"
#include "kintsugi/zoo/families/mobile.h"

namespace kintsugi::zoo::families {

namespace {

using nn::Act;

Variant variant(const std::string& name, double width, const char* interpolation) {
  MobileStage wide = plain_stage(1, 5, 1, 256);
  wide.joined = true;
  Variant v = mobile_variant(
      name, "lcnet",
      {.stages = {plain_stage(1, 3, 1, 32), plain_stage(2, 3, 2, 64), plain_stage(2, 3, 2, 128),
                  plain_stage(1, 3, 2, 256), wide, plain_stage(4, 5, 1, 256),
                  plain_stage(2, 5, 2, 512, 0.25)},
       .stem = 16,
       .head_after_pool = true,
       .act = Act::kHardswish,
       .gate = Act::kHardsigmoid,
       .se_act = Act::kRelu,
       .squeeze = MobileDescription::Squeeze::kInner,
       .width = width});
  v.preprocessing = imagenet_preprocessing(0.875, interpolation);
  return v;
}

}  // namespace

std::vector<Variant> lcnet() {
  return {
      variant("lcnet_035", 0.35, "bilinear"), variant("lcnet_050", 0.5, "bicubic"),
      variant("lcnet_075", 0.75, "bicubic"),  variant("lcnet_100", 1, "bicubic"),
      variant("lcnet_150", 1.5, "bilinear"),
  };
}

}  // namespace kintsugi::zoo::families
