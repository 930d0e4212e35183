// MetaFormers: PoolFormer (https://arxiv.org/abs/2111.11418); IdentityFormer, RandFormer,
// PoolFormerV2, ConvFormer and CAFormer (https://arxiv.org/abs/2210.13452).
#include <regex>

#include "kintsugi/autograd/ops/layout.h"
#include "kintsugi/autograd/ops/pool.h"
#include "kintsugi/nn/blocks/heads.h"
#include "kintsugi/nn/blocks/metaformer.h"
#include "kintsugi/zoo/families/families.h"

namespace kintsugi::zoo::families {

namespace {

using nn::Act;
using nn::MetaNorm;
using nn::Mixer;

struct Description {
  std::vector<int64_t> depths, widths;
  std::vector<Mixer> mixers;  // one a stage
  MetaNorm norm = MetaNorm::kLayerNormNoBias;
  bool v1 = false;  // PoolFormer's first version: GELU, biases, layer scale, no stem norm
  double layer_scale = 0;
  bool mlp_head = false;
  bool small = false;  // 3x3 stem of stride 2, for images of about 32x32
  std::vector<bool> res_scale{false, false, true, true};
};

// fc2(norm(relu(fc1(x))^2)): the head of ConvFormer and CAFormer.
class MlpHead : public nn::Module {
 public:
  MlpHead(int64_t in, int64_t classes)
      : fc1_(child<nn::Linear>("fc1", in, 4 * in)),
        act_(child<nn::Activation>("act", Act::kSquaredRelu)),
        norm_(child<nn::LayerNorm>("norm", 4 * in, 1e-5)),
        fc2_(child<nn::Linear>("fc2", 4 * in, classes)) {}

 protected:
  nn::Variable forward(const nn::Variable& x) override { return fc2_(norm_(act_(fc1_(x)))); }

 private:
  nn::Linear& fc1_;
  nn::Activation& act_;
  nn::LayerNorm& norm_;
  nn::Linear& fc2_;
};

class Head : public nn::Module {
 public:
  Head(int64_t in, int64_t classes, bool mlp)
      : norm_(child<nn::LayerNorm>("norm", in, 1e-6)),
        fc_(adopt("fc", mlp && classes > 0
                            ? std::shared_ptr<nn::Module>(std::make_shared<MlpHead>(in, classes))
                            : nn::make_classifier(in, classes))) {}

 protected:
  nn::Variable forward(const nn::Variable& x) override {
    const nn::Variable y = autograd::adaptive_avg_pool2d(x, 1, 1);
    return fc_(norm_(autograd::reshape(y, {x.size(0), x.size(1)})));
  }

 private:
  nn::LayerNorm& norm_;
  nn::Module& fc_;
};

std::shared_ptr<nn::Network> build(const Variant& variant, const BuildOptions& options,
                                   const Description& d) {
  using Place = nn::MetaDownsample::NormPlace;
  auto network = std::make_shared<nn::Network>(variant.name, options.input, options.classes);
  network->first_conv = "stem.conv.weight";
  network->classifier = d.mlp_head ? "head.fc.fc2" : "head.fc";
  const Place stem_norm = d.v1 ? Place::kNone : Place::kAfter;
  const Place down_norm = d.v1 ? Place::kNone : Place::kBefore;
  // The stem and the down-samplers have a layer norm whatever the blocks have.
  const int64_t stem_kernel = d.small ? 3 : 7, stem_stride = d.small ? 2 : 4;
  network->set_stem("stem", std::make_shared<nn::MetaDownsample>(
                                options.input[0], d.widths[0], stem_kernel, stem_stride,
                                d.small ? 1 : 2, stem_norm, MetaNorm::kLayerNormNoBias));
  int64_t total = 0, index = 0;
  for (const int64_t depth : d.depths) total += depth;
  for (size_t s = 0; s < d.depths.size(); ++s) {
    const std::string stage = "stages." + std::to_string(s);
    if (s > 0) {
      network->add_block(stage + ".downsample", std::make_shared<nn::MetaDownsample>(
                                                    d.widths[s - 1], d.widths[s], 3, 2, 1,
                                                    down_norm, MetaNorm::kLayerNormNoBias));
    }
    const nn::FeatureShape in = network->feature_at(network->positions() - 1);
    for (int64_t i = 0; i < d.depths[s]; ++i, ++index) {
      const nn::MetaBlockOptions block{.mixer = d.mixers[s],
                                       .norm = d.norm,
                                       .act = d.v1 ? Act::kGelu : Act::kStarRelu,
                                       .mlp_bias = d.v1,
                                       .layer_scale = d.layer_scale,
                                       .res_scale = !d.v1 && d.res_scale[s],
                                       .tokens = in.h * in.w,
                                       .drop_path = drop_path_at(options.drop_path, index, total)};
      network->add_block(stage + ".blocks." + std::to_string(i),
                         std::make_shared<nn::MetaFormerBlock>(d.widths[s], block));
    }
  }
  network->set_head("head", std::make_shared<Head>(d.widths.back(), options.classes, d.mlp_head));
  return network;
}

// The authors' names, of https://github.com/sail-sg/metaformer and, for PoolFormer's first version,
// of https://github.com/sail-sg/poolformer. Their linear layers are timm's 1x1 convolutions.
std::string rename(nn::State& state) {
  const bool v1 = state.contains("network.0.0.mlp.fc1.weight");
  if (!v1 && !state.contains("downsample_layers.0.conv.weight")) return "";
  using Rules = std::vector<std::pair<std::regex, std::string>>;
  // "network" alternates stages and down-samplers.
  static const Rules kFirst = {{std::regex("layer_scale_([12])$"), "layer_scale$1.scale"},
                               {std::regex("^network\\.1\\."), "downsample_layers.1."},
                               {std::regex("^network\\.3\\."), "downsample_layers.2."},
                               {std::regex("^network\\.5\\."), "downsample_layers.3."},
                               {std::regex("^network\\.2\\."), "stages.1."},
                               {std::regex("^network\\.4\\."), "stages.2."},
                               {std::regex("^network\\.6\\."), "stages.3."},
                               {std::regex("^network\\.0\\."), "stages.0."},
                               {std::regex("^patch_embed\\."), "downsample_layers.0."},
                               {std::regex("\\.proj\\.(weight|bias)$"), ".conv.$1"}};
  static const Rules kAll = {{std::regex("^stages\\.(\\d)\\.(\\d+)\\."), "stages.$1.blocks.$2."},
                             {std::regex("^downsample_layers\\.0\\."), "stem."},
                             {std::regex("^downsample_layers\\.(\\d)\\."), "stages.$1.downsample."},
                             {std::regex("\\.(pre|post)_norm\\."), ".norm."},
                             {std::regex("^head\\."), "head.fc."},
                             {std::regex("^norm\\."), "head.norm."}};
  static const std::regex kConvolution("\\.(pwconv[12]|fc[12])\\.weight$");
  nn::State renamed;
  for (const auto& [name, tensor] : state) {
    std::string to = name;
    if (v1) {
      for (const auto& [pattern, by] : kFirst) to = std::regex_replace(to, pattern, by);
    }
    for (const auto& [pattern, by] : kAll) to = std::regex_replace(to, pattern, by);
    renamed[to] = tensor;
  }
  for (auto& [name, tensor] : renamed) {
    const size_t mlp = name.find(".mlp.");
    // In stages of attention timm, too, keeps linear layers.
    const bool tokens = mlp != std::string::npos &&
                        renamed.contains(name.substr(0, mlp) + ".token_mixer.qkv.weight");
    if (tensor.rank() == 2 && !tokens && name.starts_with("stages.") &&
        std::regex_search(name, kConvolution)) {
      tensor = tensor.contiguous().view({tensor.size(0), tensor.size(1), 1, 1});
    }
  }
  state = std::move(renamed);
  return "sail-sg";
}

Variant variant(const std::string& name, const std::string& family, const Description& d,
                double crop_pct = 1) {
  Variant v{.name = name, .family = family, .preprocessing = imagenet_preprocessing(crop_pct)};
  v.rename = rename;
  v.build = [d](const Variant& self, const BuildOptions& options) {
    return build(self, options, d);
  };
  if (d.small) {
    v.input = {1, 28, 28};
    v.classes = 10;
    v.preprocessing = fashion_mnist_preprocessing();
  }
  return v;
}

struct Size {
  std::string name;
  std::vector<int64_t> depths, widths;
  double layer_scale;  // PoolFormer's first version
};

std::vector<Size> pool_sizes() {
  return {{"s12", {2, 2, 6, 2}, {64, 128, 320, 512}, 1e-5},
          {"s24", {4, 4, 12, 4}, {64, 128, 320, 512}, 1e-5},
          {"s36", {6, 6, 18, 6}, {64, 128, 320, 512}, 1e-6},
          {"m36", {6, 6, 18, 6}, {96, 192, 384, 768}, 1e-6},
          {"m48", {8, 8, 24, 8}, {96, 192, 384, 768}, 1e-6}};
}

std::vector<Size> conv_sizes() {
  return {{"s18", {3, 3, 9, 3}, {64, 128, 320, 512}, 0},
          {"s36", {3, 12, 18, 3}, {64, 128, 320, 512}, 0},
          {"m36", {3, 12, 18, 3}, {96, 192, 384, 576}, 0},
          {"b36", {3, 12, 18, 3}, {128, 256, 512, 768}, 0}};
}

}  // namespace

std::vector<Variant> metaformer() {
  constexpr Mixer kId = Mixer::kIdentity, kRand = Mixer::kRandom, kPool = Mixer::kPooling,
                  kSep = Mixer::kSepConv, kAttn = Mixer::kAttention;
  std::vector<Variant> list;
  for (const Size& size : pool_sizes()) {
    list.push_back(variant("poolformer_" + size.name, "poolformer",
                           {.depths = size.depths,
                            .widths = size.widths,
                            .mixers = {kPool, kPool, kPool, kPool},
                            .norm = MetaNorm::kGroupNorm1,
                            .v1 = true,
                            .layer_scale = size.layer_scale},
                           size.name[0] == 'm' ? 0.95 : 0.9));
  }
  const std::vector<std::pair<std::string, std::vector<Mixer>>> v2 = {
      {"poolformerv2", {kPool, kPool, kPool, kPool}},
      {"identityformer", {kId, kId, kId, kId}},
      {"randformer", {kId, kId, kRand, kRand}}};
  for (const auto& [family, mixers] : v2) {
    for (const Size& size : pool_sizes()) {
      list.push_back(variant(family + "_" + size.name, family,
                             {.depths = size.depths,
                              .widths = size.widths,
                              .mixers = mixers,
                              .norm = MetaNorm::kGroupNorm1NoBias}));
    }
  }
  const std::vector<std::pair<std::string, std::vector<Mixer>>> v3 = {
      {"convformer", {kSep, kSep, kSep, kSep}}, {"caformer", {kSep, kSep, kAttn, kAttn}}};
  for (const auto& [family, mixers] : v3) {
    for (const Size& size : conv_sizes()) {
      list.push_back(variant(
          family + "_" + size.name, family,
          {.depths = size.depths, .widths = size.widths, .mixers = mixers, .mlp_head = true}));
    }
  }
  list.push_back(variant("poolformer_nano", "poolformer",
                         {.depths = {2, 3, 2},
                          .widths = {32, 64, 128},
                          .mixers = {kPool, kPool, kPool},
                          .norm = MetaNorm::kGroupNorm1,
                          .v1 = true,
                          .layer_scale = 0.1,
                          .small = true}));
  list.push_back(variant("convformer_nano", "convformer",
                         {.depths = {2, 3, 2},
                          .widths = {32, 64, 128},
                          .mixers = {kSep, kSep, kSep},
                          .small = true,
                          .res_scale = {false, true, true}}));
  list.push_back(variant("caformer_nano", "caformer",
                         {.depths = {2, 3, 2},
                          .widths = {32, 64, 128},
                          .mixers = {kSep, kSep, kAttn},
                          .small = true,
                          .res_scale = {false, true, true}}));
  return list;
}

}  // namespace kintsugi::zoo::families
