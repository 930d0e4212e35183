// MnasNet and Single-Path NAS: networks of mobile blocks that a search found, one with the measured
// latency in its reward. https://arxiv.org/abs/1807.11626, https://arxiv.org/abs/1904.02877.
#include "kintsugi/zoo/families/families.h"
#include "kintsugi/zoo/families/mobile.h"

namespace kintsugi::zoo::families {

namespace {

using nn::Act;
constexpr auto kDs = nn::MobileKind::kSeparable;
constexpr auto kIr = nn::MobileKind::kInverted;

// The first separable block, and B1's last, have no shortcut even where one would fit.
MobileStage without_shortcut(MobileStage stage) {
  stage.shortcut = false;
  return stage;
}

// A1, which timm calls semnasnet: with squeeze-and-excitation.
MobileDescription a1(double width) {
  return {.stages = {without_shortcut({kDs, 1, 3, 1, 1, 16}),
                     {kIr, 2, 3, 2, 6, 24},
                     {kIr, 3, 5, 2, 3, 40, 0.25},
                     {kIr, 4, 3, 2, 6, 80},
                     {kIr, 2, 3, 1, 6, 112, 0.25},
                     {kIr, 3, 5, 2, 6, 160, 0.25},
                     {kIr, 1, 3, 1, 6, 320}},
          .act = Act::kRelu,
          .width = width};
}

MobileDescription b1(double width) {
  return {.stages = {without_shortcut({kDs, 1, 3, 1, 1, 16}),
                     {kIr, 3, 3, 2, 3, 24},
                     {kIr, 3, 5, 2, 3, 40},
                     {kIr, 3, 5, 2, 6, 80},
                     {kIr, 2, 3, 1, 6, 96},
                     {kIr, 4, 5, 2, 6, 192},
                     without_shortcut({kIr, 1, 3, 1, 6, 320})},
          .act = Act::kRelu,
          .width = width};
}

MobileDescription small() {
  return {.stages = {{kDs, 1, 3, 1, 1, 8},
                     {kIr, 1, 3, 2, 3, 16},
                     {kIr, 2, 3, 2, 6, 16},
                     {kIr, 4, 5, 2, 6, 32, 0.25},
                     {kIr, 3, 3, 1, 6, 32, 0.25},
                     {kIr, 3, 5, 2, 6, 88, 0.25},
                     {kIr, 1, 3, 1, 6, 144}},
          .stem = 8,
          .act = Act::kRelu};
}

MobileDescription single_path() {
  MobileDescription d = b1(1);
  d.stages = {without_shortcut({kDs, 1, 3, 1, 1, 16}),
              {kIr, 3, 3, 2, 3, 24},
              {kIr, 1, 5, 2, 6, 40},
              {kIr, 3, 3, 1, 3, 40, 0, {}, true},
              {kIr, 1, 5, 2, 6, 80},
              {kIr, 3, 3, 1, 3, 80, 0, {}, true},
              {kIr, 1, 5, 1, 6, 96},
              {kIr, 3, 5, 1, 3, 96, 0, {}, true},
              {kIr, 4, 5, 2, 6, 192},
              without_shortcut({kIr, 1, 3, 1, 6, 320})};
  return d;
}

}  // namespace

std::vector<Variant> mnasnet() {
  std::vector<Variant> list = {
      mobile_variant("mnasnet_050", "mnasnet", b1(0.5)),
      mobile_variant("mnasnet_075", "mnasnet", b1(0.75)),
      mobile_variant("mnasnet_100", "mnasnet", b1(1)),
      mobile_variant("mnasnet_140", "mnasnet", b1(1.4)),
      mobile_variant("semnasnet_050", "mnasnet", a1(0.5)),
      mobile_variant("semnasnet_075", "mnasnet", a1(0.75)),
      mobile_variant("semnasnet_100", "mnasnet", a1(1)),
      mobile_variant("semnasnet_140", "mnasnet", a1(1.4)),
      mobile_variant("mnasnet_small", "mnasnet", small()),
      mobile_variant("spnasnet_100", "mnasnet", single_path()),
  };
  list.back().preprocessing = imagenet_preprocessing(0.875, "bilinear");
  return list;
}

}  // namespace kintsugi::zoo::families
