// RegNetX and RegNetY: https://arxiv.org/abs/2003.13678; RegNetZ: https://arxiv.org/abs/2103.06877;
// timm's pre-activated RegNetV. Widths follow the first paper's line (section 3.3): u_j = w0 +
// wa*j, rounded to w0*wm^s for the nearest integer s, then to multiples of 8.
#include <algorithm>
#include <cmath>
#include <regex>

#include "kintsugi/nn/blocks/heads.h"
#include "kintsugi/nn/blocks/regnet.h"
#include "kintsugi/zoo/families/families.h"

namespace kintsugi::zoo::families {

namespace {

enum class Form {
  kX,          // or Y, by se
  kPreAct,     // V: norms first
  kPreActAvg,  // the same with pooling shortcuts
  kZ,          // four times as wide inside, linear, no shortcut where shapes change
};

struct Description {
  int64_t depth = 0;
  double w0 = 0, wa = 0, wm = 0;
  int64_t group_width = 0;
  bool se = false;
  Form form = Form::kX;
  bool torchvision = false;  // its way to make widths divisible by groups
  nn::Act act = nn::Act::kRelu;
  nn::Norm norm = nn::Norm::kBatch;
  int64_t features = 0;  // of a last 1x1 convolution; 0: none
};

struct Stage {
  int64_t depth, width, group_width;
};

// To a multiple of `divisor`: the nearest, half to even; torchvision rounds halves up and never
// loses more than a tenth.
int64_t make_divisible(int64_t width, int64_t divisor, bool torchvision) {
  if (!torchvision) return int64_t(std::nearbyint(double(width) / double(divisor))) * divisor;
  const int64_t rounded = (width + divisor / 2) / divisor * divisor;
  return double(rounded) < 0.9 * double(width) ? rounded + divisor : rounded;
}

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
  const int64_t ratio = d.form == Form::kZ ? 4 : 1;
  for (Stage& stage : stages) {
    // A group is no wider than its stage, and inner widths are made divisible by it.
    stage.group_width = std::min(d.group_width, stage.width * ratio);
    stage.width = make_divisible(stage.width * ratio, stage.group_width, d.torchvision) / ratio;
  }
  return stages;
}

std::shared_ptr<nn::Network> build(const Variant& variant, const BuildOptions& options,
                                   const Description& d, const std::vector<Stage>& stages,
                                   int64_t stem_width, bool small) {
  const bool preact = d.form == Form::kPreAct || d.form == Form::kPreActAvg;
  auto network = std::make_shared<nn::Network>(variant.name, options.input, options.classes);
  network->first_conv = preact ? "stem.weight" : "stem.conv.weight";
  network->classifier = "head.fc";
  const nn::Conv2d::Options conv{.kernel = 3, .stride = small ? 1 : 2, .padding = 1};
  if (preact) {
    network->set_stem("stem", std::make_shared<nn::Conv2d>(options.input[0], stem_width, conv));
  } else {
    network->set_stem("stem", std::make_shared<nn::ConvNormAct>(options.input[0], stem_width, conv,
                                                                d.act, 1.0, d.norm));
  }
  int64_t total = 0, index = 0, in = stem_width;
  for (const Stage& stage : stages) total += stage.depth;
  for (size_t s = 0; s < stages.size(); ++s) {
    const Stage& stage = stages[s];
    const int64_t inner = stage.width * (d.form == Form::kZ ? 4 : 1);
    for (int64_t i = 0; i < stage.depth; ++i, ++index) {
      nn::RegNetOptions block{.stride = i == 0 && !(small && s == 0) ? 2 : 1,
                              .width = inner,
                              .groups = inner / stage.group_width,
                              .linear = d.form == Form::kZ,
                              .act = d.act,
                              .norm = d.norm,
                              .drop_path = drop_path_at(options.drop_path, index, total)};
      // A quarter of the block's input channels, rounded half to even as timm rounds.
      if (d.se) block.se_channels = int64_t(std::nearbyint(double(in) * 0.25));
      if (d.form == Form::kZ) block.shortcut = nn::RegNetOptions::Shortcut::kNone;
      if (d.form == Form::kPreActAvg) block.shortcut = nn::RegNetOptions::Shortcut::kAvg;
      const std::string name = "s" + std::to_string(s + 1) + ".b" + std::to_string(i + 1);
      if (preact) {
        network->add_block(name, std::make_shared<nn::PreActRegNetBlock>(in, stage.width, block));
      } else {
        network->add_block(name, std::make_shared<nn::RegNetBlock>(in, stage.width, block));
      }
      in = stage.width;
    }
  }
  auto head = std::make_shared<nn::Sequential>();
  if (d.features > 0) {
    head->add<nn::ConvNormAct>("final_conv", in, d.features, nn::Conv2d::Options{}, d.act, 1.0,
                               d.norm);
    in = d.features;
  } else if (preact || d.form == Form::kZ) {
    head->add<nn::Activation>("final_conv", d.act);
  }
  head->add<nn::PoolHead>("head", in, options.classes, nn::PoolHead::Options{});
  network->set_head("", std::move(head));
  return network;
}

// torchvision's names: "trunk_output.block1.block1-0.f.a.0.weight" is "s1.b1.conv1.conv.weight".
std::string rename_torchvision(nn::State& state) {
  if (!state.contains("stem.0.weight")) return "";
  static const std::pair<std::regex, const char*> kParts[] = {
      {std::regex(R"(^stem\.0\.)"), "stem.conv."},
      {std::regex(R"(^stem\.1\.)"), "stem.bn."},
      {std::regex(R"(^fc\.)"), "head.fc."},
      {std::regex(R"(\.proj\.0\.)"), ".downsample.conv."},
      {std::regex(R"(\.proj\.1\.)"), ".downsample.bn."},
      {std::regex(R"(\.f\.a\.0\.)"), ".conv1.conv."},
      {std::regex(R"(\.f\.a\.1\.)"), ".conv1.bn."},
      {std::regex(R"(\.f\.b\.0\.)"), ".conv2.conv."},
      {std::regex(R"(\.f\.b\.1\.)"), ".conv2.bn."},
      {std::regex(R"(\.f\.c\.0\.)"), ".conv3.conv."},
      {std::regex(R"(\.f\.c\.1\.)"), ".conv3.bn."},
      {std::regex(R"(\.f\.se\.)"), ".se."},
  };
  static const std::regex kBlock(R"(^trunk_output\.block(\d+)\.block\d+-(\d{1,4})\.)");
  nn::State renamed;
  for (const auto& [name, tensor] : state) {
    std::string to = name;
    std::smatch match;
    if (std::regex_search(name, match, kBlock)) {
      to = "s" + match[1].str() + ".b" + std::to_string(std::stoi(match[2].str()) + 1) + "." +
           match.suffix().str();
    }
    for (const auto& [part, with] : kParts) to = std::regex_replace(to, part, with);
    renamed[to] = tensor;
  }
  state = std::move(renamed);
  return "torchvision";
}

// The images of timm's default tag.
struct Images {
  int64_t side = 224;
  double crop_pct = 0.875;
};

Variant variant(const std::string& name, const Description& d, const Images& images = {}) {
  Variant v{.name = name, .family = "regnet"};
  v.input = {3, images.side, images.side};
  v.preprocessing = imagenet_preprocessing(images.crop_pct);
  v.build = [d](const Variant& self, const BuildOptions& options) {
    return build(self, options, d, stages_of(d), 32, false);
  };
  v.rename = rename_torchvision;
  return v;
}

Variant nano() {
  Variant v{.name = "regnety_nano",
            .family = "regnet",
            .input = {1, 28, 28},
            .classes = 10,
            .preprocessing = fashion_mnist_preprocessing()};
  v.build = [](const Variant& self, const BuildOptions& options) {
    return build(self, options, {.se = true}, {{2, 24, 8}, {3, 56, 8}, {4, 112, 8}}, 16, true);
  };
  return v;
}

}  // namespace

std::vector<Variant> regnet() {
  const auto tv = [](Description d) {
    d.torchvision = true;
    return d;
  };
  const auto silu = [](Description d, Form form, int64_t features = 0) {
    d.act = nn::Act::kSilu;
    d.form = form;
    d.features = features;
    return d;
  };
  const Description x004{22, 24, 24.48, 2.54, 16}, y008{14, 56, 38.84, 2.4, 16, true},
      y040{22, 96, 31.41, 2.24, 64, true}, y064{25, 112, 33.22, 2.27, 72, true},
      y080{17, 192, 76.82, 2.19, 56, true}, z040{28, 48, 14.5, 2.226, 8, true};
  Description sgn = silu(y040, Form::kX);
  sgn.norm = nn::Norm::kGroupWidth16;
  return {
      variant("regnetx_002", {13, 24, 36.44, 2.49, 8}),
      variant("regnetx_004", x004),
      variant("regnetx_004_tv", tv(x004), {224, 0.965}),
      variant("regnetx_006", {16, 48, 36.97, 2.24, 24}),
      variant("regnetx_008", {16, 56, 35.73, 2.28, 16}, {224, 0.965}),
      variant("regnetx_016", {18, 80, 34.01, 2.25, 24}, {224, 0.965}),
      variant("regnetx_032", {25, 88, 26.31, 2.25, 48}, {224, 0.965}),
      variant("regnetx_040", {23, 96, 38.65, 2.43, 40}),
      variant("regnetx_064", {17, 184, 60.83, 2.07, 56}),
      variant("regnetx_080", {23, 80, 49.56, 2.88, 120}, {224, 0.965}),
      variant("regnetx_120", {19, 168, 73.36, 2.37, 112}),
      variant("regnetx_160", {22, 216, 55.59, 2.1, 128}, {224, 0.965}),
      variant("regnetx_320", {23, 320, 69.86, 2.0, 168}, {224, 0.965}),
      variant("regnety_002", {13, 24, 36.44, 2.49, 8, true}),
      variant("regnety_004", {16, 48, 27.89, 2.09, 8, true}, {224, 0.965}),
      variant("regnety_006", {15, 48, 32.54, 2.32, 16, true}),
      variant("regnety_008", y008),
      variant("regnety_008_tv", tv(y008), {224, 0.965}),
      variant("regnety_016", {27, 48, 20.71, 2.65, 24, true}, {224, 0.965}),
      variant("regnety_032", {21, 80, 42.63, 2.66, 24, true}, {224, 0.95}),
      variant("regnety_040", y040, {224, 0.95}),
      variant("regnety_040_sgn", sgn, {224, 0.95}),
      variant("regnety_064", y064, {224, 0.95}),
      variant("regnety_080", y080, {224, 0.95}),
      variant("regnety_080_tv", tv(y080), {224, 0.965}),
      variant("regnety_120", {19, 168, 73.36, 2.37, 112, true}, {224, 0.95}),
      variant("regnety_160", {18, 200, 106.23, 2.48, 112, true}, {224, 0.95}),
      variant("regnety_320", {20, 232, 115.89, 2.53, 232, true}, {224, 0.965}),
      variant("regnety_640", {20, 352, 147.48, 2.4, 328, true}, {384, 1}),
      variant("regnety_1280", {27, 456, 160.83, 2.52, 264, true}, {384, 1}),
      variant("regnety_2560", {27, 640, 230.83, 2.53, 373, true}, {384, 1}),
      variant("regnetv_040", silu(y040, Form::kPreAct), {224, 0.95}),
      variant("regnetv_064", silu(y064, Form::kPreActAvg), {224, 0.95}),
      variant("regnetz_005", silu({21, 16, 10.7, 2.51, 4, true}, Form::kZ, 1024), {224, 0.95}),
      variant("regnetz_040", silu(z040, Form::kZ), {256, 1}),
      variant("regnetz_040_h", silu(z040, Form::kZ, 1536), {256, 1}),
      nano(),
  };
}

}  // namespace kintsugi::zoo::families
