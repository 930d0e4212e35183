// FBNetV3, found together with its training recipe. https://arxiv.org/abs/2006.02049.
#include "kintsugi/zoo/families/families.h"
#include "kintsugi/zoo/families/mobile.h"

namespace kintsugi::zoo::families {

namespace {

using nn::Act;
constexpr auto kDs = nn::MobileKind::kSeparable;
constexpr auto kIr = nn::MobileKind::kInverted;

MobileDescription network(int64_t stem, std::vector<MobileStage> stages) {
  return {.stages = std::move(stages),
          .stem = stem,
          .head = 1984,
          .head_after_pool = true,
          .head_bias = false,
          .act = Act::kHardswish,
          .gate = Act::kHardsigmoid,
          .squeeze = MobileDescription::Squeeze::kInputRounded,
          .shrink = 0.95};
}

MobileDescription b() {
  return network(16,
                {{kDs, 2, 3, 1, 1, 16},
                 {kIr, 1, 5, 2, 4, 24},
                 {kIr, 3, 5, 1, 2, 24, 0, {}, true},
                 {kIr, 1, 5, 2, 5, 40, 0.25},
                 {kIr, 4, 5, 1, 3, 40, 0.25, {}, true},
                 {kIr, 1, 5, 2, 5, 72},
                 {kIr, 4, 3, 1, 3, 72, 0, {}, true},
                 {kIr, 1, 3, 1, 5, 120, 0.25},
                 {kIr, 5, 5, 1, 3, 120, 0.25, {}, true},
                 {kIr, 1, 3, 2, 6, 184, 0.25},
                 {kIr, 5, 5, 1, 4, 184, 0.25, {}, true},
                 {kIr, 1, 5, 1, 6, 224, 0.25, {}, true},
                 conv_stage(1344)});
}

MobileDescription d() {
  return network(24,
                {{kDs, 2, 3, 1, 1, 16},
                 {kIr, 1, 3, 2, 5, 24},
                 {kIr, 5, 3, 1, 2, 24, 0, {}, true},
                 {kIr, 1, 5, 2, 4, 40, 0.25},
                 {kIr, 4, 3, 1, 3, 40, 0.25, {}, true},
                 {kIr, 1, 3, 2, 5, 72},
                 {kIr, 4, 3, 1, 3, 72, 0, {}, true},
                 {kIr, 1, 3, 1, 5, 128, 0.25},
                 {kIr, 6, 5, 1, 3, 128, 0.25, {}, true},
                 {kIr, 1, 3, 2, 6, 208, 0.25},
                 {kIr, 5, 5, 1, 5, 208, 0.25, {}, true},
                 {kIr, 1, 5, 1, 6, 240, 0.25, {}, true},
                 conv_stage(1440)});
}

MobileDescription g() {
  return network(32,
                {{kDs, 3, 3, 1, 1, 24},
                 {kIr, 1, 5, 2, 4, 40},
                 {kIr, 4, 5, 1, 2, 40, 0, {}, true},
                 {kIr, 1, 5, 2, 4, 56, 0.25},
                 {kIr, 4, 5, 1, 3, 56, 0.25, {}, true},
                 {kIr, 1, 5, 2, 5, 104},
                 {kIr, 4, 3, 1, 3, 104, 0, {}, true},
                 {kIr, 1, 3, 1, 5, 160, 0.25},
                 {kIr, 8, 5, 1, 3, 160, 0.25, {}, true},
                 {kIr, 1, 3, 2, 6, 264, 0.25},
                 {kIr, 6, 5, 1, 5, 264, 0.25, {}, true},
                 {kIr, 2, 5, 1, 6, 288, 0.25, {}, true},
                 conv_stage(1728)});
}

Variant variant(const std::string& name, const MobileDescription& description, int64_t size) {
  Variant v = mobile_variant(name, "fbnet", description);
  v.input = {3, size, size};
  v.preprocessing = imagenet_preprocessing(0.95, "bilinear");
  return v;
}

}  // namespace

std::vector<Variant> fbnet() {
  return {
      variant("fbnetv3_b", b(), 224),
      variant("fbnetv3_d", d(), 224),
      variant("fbnetv3_g", g(), 240),
  };
}

}  // namespace kintsugi::zoo::families
