// RegNetX and RegNetY: https://arxiv.org/abs/2003.13678. Widths follow the paper's line (section 3.3):
// u_j = w0 + wa*j, rounded to w0*wm^s for the nearest integer s, then to multiples of 8.
#include <cmath>

#include "kintsugi/nn/blocks/heads.h"
#include "kintsugi/nn/blocks/resnet.h"
#include "kintsugi/zoo/families/families.h"

namespace kintsugi::zoo::families {

namespace {

struct Description {
  int64_t depth;
  double w0, wa, wm;
  int64_t group_width;
  bool se;
};

struct Stage {
  int64_t depth, width, group_width;
};

std::vector<Stage> stages_of(const Description& d) {
  std::vector<Stage> stages;
  for (int64_t j = 0; j < d.depth; ++j) {
    const double u = d.w0 + d.wa * double(j);
    const double exponent = std::nearbyint(std::log(u / d.w0) / std::log(d.wm));
    const double width = d.w0 * std::pow(d.wm, exponent);
    const int64_t rounded = int64_t(std::nearbyint(width / 8)) * 8;
    if (stages.empty() || stages.back().width != rounded) stages.push_back({0, rounded, 0});
    ++stages.back().depth;
  }
  for (Stage& stage : stages) {
    // A group is no wider than its stage, and widths are made divisible by it.
    stage.group_width = std::min(d.group_width, stage.width);
    const double groups = double(stage.width) / double(stage.group_width);
    stage.width = int64_t(std::nearbyint(groups)) * stage.group_width;
  }
  return stages;
}

std::shared_ptr<nn::Network> build(const Variant& variant, const BuildOptions& options,
                                   const std::vector<Stage>& stages, bool se, int64_t stem_width,
                                   bool small) {
  auto network = std::make_shared<nn::Network>(variant.name, options.input, options.classes);
  network->first_conv = "stem.conv.weight";
  network->classifier = "head.fc";
  network->set_stem("stem", std::make_shared<nn::ConvNormAct>(
                                options.input[0], stem_width,
                                nn::Conv2d::Options{.kernel = 3, .stride = small ? 1 : 2, .padding = 1},
                                nn::Act::kRelu));
  int64_t total = 0, index = 0, in = stem_width;
  for (const Stage& stage : stages) total += stage.depth;
  for (size_t s = 0; s < stages.size(); ++s) {
    const Stage& stage = stages[s];
    for (int64_t i = 0; i < stage.depth; ++i, ++index) {
      const int64_t stride = i == 0 && !(small && s == 0) ? 2 : 1;
      // A quarter of the block's input channels, rounded half to even as timm rounds.
      const int64_t se_channels = se ? int64_t(std::nearbyint(double(in) * 0.25)) : 0;
      network->add_block("s" + std::to_string(s + 1) + ".b" + std::to_string(i + 1),
                         std::make_shared<nn::RegNetBlock>(
                             in, stage.width, stride, stage.group_width, se_channels,
                             drop_path_at(options.drop_path, index, total)));
      in = stage.width;
    }
  }
  network->set_head("head", std::make_shared<nn::PoolHead>(in, options.classes,
                                                           nn::PoolHead::Options{}));
  return network;
}

Variant variant(const std::string& name, const Description& d) {
  Variant v{.name = name, .family = "regnet"};
  v.build = [d](const Variant& self, const BuildOptions& options) {
    return build(self, options, stages_of(d), d.se, 32, false);
  };
  return v;
}

Variant nano() {
  Variant v{.name = "regnety_nano", .family = "regnet", .input = {1, 28, 28}, .classes = 10,
            .preprocessing = fashion_mnist_preprocessing()};
  v.build = [](const Variant& self, const BuildOptions& options) {
    return build(self, options, {{2, 24, 8}, {3, 56, 8}, {4, 112, 8}}, true, 16, true);
  };
  return v;
}

}  // namespace

std::vector<Variant> regnet() {
  std::vector<Variant> list = {
      variant("regnetx_002", {13, 24, 36.44, 2.49, 8, false}),
      variant("regnetx_004", {22, 24, 24.48, 2.54, 16, false}),
      variant("regnetx_006", {16, 48, 36.97, 2.24, 24, false}),
      variant("regnetx_008", {16, 56, 35.73, 2.28, 16, false}),
      variant("regnetx_016", {18, 80, 34.01, 2.25, 24, false}),
      variant("regnetx_032", {25, 88, 26.31, 2.25, 48, false}),
      variant("regnetx_040", {23, 96, 38.65, 2.43, 40, false}),
      variant("regnetx_064", {17, 184, 60.83, 2.07, 56, false}),
      variant("regnetx_080", {23, 80, 49.56, 2.88, 120, false}),
      variant("regnetx_120", {19, 168, 73.36, 2.37, 112, false}),
      variant("regnetx_160", {22, 216, 55.59, 2.1, 128, false}),
      variant("regnetx_320", {23, 320, 69.86, 2.0, 168, false}),
      variant("regnety_002", {13, 24, 36.44, 2.49, 8, true}),
      variant("regnety_004", {16, 48, 27.89, 2.09, 8, true}),
      variant("regnety_006", {15, 48, 32.54, 2.32, 16, true}),
      variant("regnety_008", {14, 56, 38.84, 2.4, 16, true}),
      variant("regnety_016", {27, 48, 20.71, 2.65, 24, true}),
      variant("regnety_032", {21, 80, 42.63, 2.66, 24, true}),
      variant("regnety_040", {22, 96, 31.41, 2.24, 64, true}),
      variant("regnety_064", {25, 112, 33.22, 2.27, 72, true}),
      variant("regnety_080", {17, 192, 76.82, 2.19, 56, true}),
      variant("regnety_120", {19, 168, 73.36, 2.37, 112, true}),
      variant("regnety_160", {18, 200, 106.23, 2.48, 112, true}),
      variant("regnety_320", {20, 232, 115.89, 2.53, 232, true}),
  };
  list.push_back(nano());
  return list;
}

}  // namespace kintsugi::zoo::families
