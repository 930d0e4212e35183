// ConvNeXt: https://arxiv.org/abs/2201.03545. ConvNeXt V2: https://arxiv.org/abs/2301.00808.
#include "kintsugi/nn/blocks/convnext.h"

#include <regex>

#include "kintsugi/autograd/ops/layout.h"
#include "kintsugi/autograd/ops/pool.h"
#include "kintsugi/nn/blocks/heads.h"
#include "kintsugi/zoo/families/families.h"

namespace kintsugi::zoo::families {

namespace {

using nn::Act;
using Norm = nn::ChannelNorm::Kind;

struct Description {
  enum class Stem { kPatch, kOverlap, kOverlapTiered, kOverlapAct };
  std::vector<int64_t> depths, widths;
  nn::ConvNeXtBlockOptions block = {};
  Stem stem = Stem::kPatch;
  std::vector<int64_t> kernels{7, 7, 7, 7};
  bool norm_before_pool = false;
  int64_t head_hidden = 0;  // a hidden layer of the head
};

// One 4x4 convolution of stride 4, or two 3x3 of stride 2, and a norm, numbered as timm numbers
// them.
class Stem : public nn::Module {
 public:
  Stem(int64_t in, const Description& d) {
    const int64_t width = d.widths[0];
    int index = 0;
    const auto conv = [&](int64_t from, int64_t to, int64_t kernel, int64_t stride,
                          int64_t padding) {
      parts_.push_back(&child<nn::Conv2d>(std::to_string(index++), from, to,
                                          nn::Conv2d::Options{.kernel = kernel,
                                                              .stride = stride,
                                                              .padding = padding,
                                                              .bias = true,
                                                              .init = nn::init::trunc_normal()}));
    };
    if (d.stem == Description::Stem::kPatch) {
      conv(in, width, 4, 4, 0);
    } else {
      const int64_t middle =
          d.stem == Description::Stem::kOverlapTiered ? (width / 2 + 4) / 8 * 8 : width;
      conv(in, middle, 3, 2, 1);
      if (d.stem == Description::Stem::kOverlapAct) {
        parts_.push_back(&child<nn::Activation>(std::to_string(index++), d.block.act));
      }
      conv(middle, width, 3, 2, 1);
    }
    parts_.push_back(&adopt(std::to_string(index), d.block.norm.make(width)));
  }

 protected:
  nn::Variable forward(const nn::Variable& x) override {
    nn::Variable y = x;
    for (nn::Module* part : parts_) y = (*part)(y);
    return y;
  }

 private:
  std::vector<nn::Module*> parts_;
};

std::shared_ptr<nn::Module> or_identity(bool on, std::shared_ptr<nn::Module> module) {
  return on ? std::move(module) : std::make_shared<nn::Identity>();
}

// [norm] -> pool -> [norm] -> [hidden layer] -> classifier
class Head : public nn::Module {
 public:
  Head(const Description& d, int64_t classes)
      : norm_pre_(
            adopt("norm_pre", or_identity(d.norm_before_pool, d.block.norm.make(d.widths.back())))),
        norm_(adopt("head.norm",
                    or_identity(!d.norm_before_pool, d.block.norm.make(d.widths.back())))),
        hidden_(adopt("head.pre_logits.fc",
                      or_identity(d.head_hidden > 0,
                                  std::make_shared<nn::Linear>(d.widths.back(), d.head_hidden)))),
        act_(child<nn::Activation>("head.pre_logits.act",
                                   d.head_hidden > 0 ? Act::kGelu : Act::kNone)),
        fc_(adopt("head.fc",
                  nn::make_classifier(d.head_hidden > 0 ? d.head_hidden : d.widths.back(),
                                      classes))) {}

 protected:
  nn::Variable forward(const nn::Variable& x) override {
    const nn::Variable y = autograd::adaptive_avg_pool2d(norm_pre_(x), 1, 1);
    return fc_(act_(hidden_(norm_(autograd::reshape(y, {y.size(0), y.size(1)})))));
  }

 private:
  nn::Module &norm_pre_, &norm_, &hidden_;
  nn::Activation& act_;
  nn::Module& fc_;
};

std::shared_ptr<nn::Network> build(const Variant& variant, const BuildOptions& options,
                                   const Description& d) {
  auto network = std::make_shared<nn::Network>(variant.name, options.input, options.classes);
  network->first_conv = "stem.0.weight";
  network->classifier = "head.fc";
  network->set_stem("stem", std::make_shared<Stem>(options.input[0], d));
  int64_t total = 0, index = 0;
  for (const int64_t depth : d.depths) total += depth;
  nn::ConvNeXtBlockOptions block = d.block;
  for (size_t s = 0; s < d.depths.size(); ++s) {
    const std::string stage = "stages." + std::to_string(s);
    if (s > 0) {
      network->add_block(stage + ".downsample", std::make_shared<nn::ConvNeXtDownsample>(
                                                    d.widths[s - 1], d.widths[s], d.block.norm));
    }
    block.kernel = d.kernels[s];
    for (int64_t i = 0; i < d.depths[s]; ++i, ++index) {
      block.drop_path = drop_path_at(options.drop_path, index, total);
      network->add_block(stage + ".blocks." + std::to_string(i),
                         std::make_shared<nn::ConvNeXtBlock>(d.widths[s], block));
    }
  }
  network->set_head("", std::make_shared<Head>(d, options.classes));
  return network;
}

// The authors' names: https://github.com/facebookresearch/ConvNeXt and ConvNeXt-V2.
std::string rename(nn::State& state) {
  if (!state.contains("downsample_layers.0.0.weight")) return "";
  static const std::vector<std::pair<std::regex, std::string>> kRules = {
      {std::regex("^downsample_layers\\.0\\."), "stem."},
      {std::regex("^stages\\.(\\d+)\\.(\\d+)\\."), "stages.$1.blocks.$2."},
      {std::regex("^downsample_layers\\.(\\d+)\\."), "stages.$1.downsample."},
      {std::regex("\\.dwconv\\."), ".conv_dw."},
      {std::regex("\\.pwconv([12])\\."), ".mlp.fc$1."},
      {std::regex("\\.grn\\.gamma$"), ".mlp.grn.weight"},
      {std::regex("\\.grn\\.beta$"), ".mlp.grn.bias"},
      {std::regex("^norm\\."), "head.norm."},
      {std::regex("^head\\.(weight|bias)$"), "head.fc.$1"},
  };
  nn::State renamed;
  for (auto& [name, tensor] : state) {
    std::string to = name;
    for (const auto& [pattern, by] : kRules) to = std::regex_replace(to, pattern, by);
    // (1,1,1,C) with the authors.
    const bool flat = to.find(".grn.") != std::string::npos;
    renamed[to] = flat ? tensor.contiguous().view({tensor.numel()}) : tensor;
  }
  state = std::move(renamed);
  return "facebookresearch/ConvNeXt";
}

// timm keeps the MLPs of its smaller networks as 1x1 convolutions; the authors' are linear layers.
void reshape_mlps(nn::State& state, bool convolutions) {
  static const std::regex kMlp("\\.mlp\\.fc[12]\\.weight$");
  for (auto& [name, tensor] : state) {
    if (convolutions && tensor.rank() == 2 && std::regex_search(name, kMlp)) {
      tensor = tensor.contiguous().view({tensor.size(0), tensor.size(1), 1, 1});
    }
  }
}

Variant variant(const std::string& name, const Description& d,
                const Preprocessing& preprocessing = imagenet_preprocessing(), int64_t size = 224) {
  Variant v{.name = name,
            .family = d.block.response_norm ? "convnextv2" : "convnext",
            .input = {3, size, size},
            .preprocessing = preprocessing};
  v.build = [d](const Variant& self, const BuildOptions& options) {
    return build(self, options, d);
  };
  v.rename = [d](nn::State& state) {
    const std::string theirs = rename(state);
    if (!theirs.empty()) reshape_mlps(state, d.block.conv_mlp);
    return theirs;
  };
  return v;
}

}  // namespace

std::vector<Variant> convnext() {
  using Stem = Description::Stem;
  const std::vector<int64_t> tiny{2, 2, 6, 2}, nano{2, 2, 8, 2}, base{3, 3, 9, 3},
      deep{3, 3, 27, 3};
  const auto widths = [](int64_t first) {
    return std::vector<int64_t>{first, 2 * first, 4 * first, 8 * first};
  };
  const nn::ConvNeXtBlockOptions plain{}, conv{.conv_mlp = true},
      v2{.response_norm = true, .layer_scale = 0},
      conv_v2{.conv_mlp = true, .response_norm = true, .layer_scale = 0};
  const nn::ConvNeXtBlockOptions simple{.norm = {Norm::kSimple}, .conv_mlp = true};
  const nn::ConvNeXtBlockOptions eps5{.norm = {Norm::kLayer, 1e-5}};
  const nn::ConvNeXtBlockOptions tanh5{.norm = {Norm::kLayer, 1e-5}, .act = Act::kGeluTanh};
  const auto crop95 = imagenet_preprocessing(0.95);
  return {
      variant("convnext_zepto_rms", {{2, 2, 4, 2}, widths(32), simple}, half_preprocessing(0.875)),
      variant("convnext_zepto_rms_ols", {{2, 2, 4, 2}, widths(32), simple, Stem::kOverlapAct},
              half_preprocessing(0.9)),
      variant("convnext_atto", {tiny, widths(40), conv}),
      variant("convnext_atto_ols", {tiny, widths(40), conv, Stem::kOverlapTiered}),
      variant("convnext_atto_rms", {tiny, widths(40), {.norm = {Norm::kRms}, .conv_mlp = true}}),
      variant("convnext_femto", {tiny, widths(48), conv}),
      variant("convnext_femto_ols", {tiny, widths(48), conv, Stem::kOverlapTiered}),
      variant("convnext_pico", {tiny, widths(64), conv}),
      variant("convnext_pico_ols", {tiny, widths(64), conv, Stem::kOverlapTiered}, crop95),
      variant("convnext_nano", {nano, widths(80), conv}, crop95),
      variant("convnext_nano_ols", {nano, widths(80), conv, Stem::kOverlap}, crop95),
      variant("convnext_tiny_hnf",
              {.depths = base, .widths = widths(96), .block = conv, .norm_before_pool = true},
              crop95),
      variant("convnext_tiny", {base, widths(96), plain}, crop95),
      variant("convnext_small", {deep, widths(96), plain}, crop95),
      variant("convnext_base", {deep, widths(128), plain}),
      variant("convnext_large", {deep, widths(192), plain}),
      variant("convnext_large_mlp",
              {.depths = deep, .widths = widths(192), .block = plain, .head_hidden = 1536},
              clip_preprocessing(1), 320),
      variant("convnext_xlarge", {deep, widths(256), plain}),
      variant("convnext_xxlarge", {{3, 4, 30, 3}, widths(384), eps5}, clip_preprocessing(1), 256),
      variant("convnextv2_atto", {tiny, widths(40), conv_v2}),
      variant("convnextv2_femto", {tiny, widths(48), conv_v2}),
      variant("convnextv2_pico", {tiny, widths(64), conv_v2}),
      variant("convnextv2_nano", {nano, widths(80), conv_v2}),
      variant("convnextv2_tiny", {base, widths(96), v2}),
      variant("convnextv2_small", {deep, widths(96), v2}),
      variant("convnextv2_base", {deep, widths(128), v2}),
      variant("convnextv2_large", {deep, widths(192), v2}),
      variant("convnextv2_huge", {deep, widths(352), v2}, imagenet_preprocessing(1), 384),
      variant("test_convnext", {{1, 2, 4, 2}, {24, 32, 48, 64}, tanh5}, half_preprocessing(0.95),
              160),
      variant("test_convnext2", {{1, 1, 1, 1}, {32, 64, 96, 128}, tanh5}, half_preprocessing(0.95),
              160),
      variant("test_convnext3",
              {.depths = {1, 1, 1, 1},
               .widths = {32, 64, 96, 128},
               .block = {.norm = {Norm::kLayer, 1e-5}, .act = Act::kSilu},
               .kernels = {7, 5, 5, 3}},
              half_preprocessing(0.95), 160),
  };
}

}  // namespace kintsugi::zoo::families
