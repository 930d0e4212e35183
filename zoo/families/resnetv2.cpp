// ResNets with pre-activation: https://arxiv.org/abs/1603.05027, in timm's forms, and Big Transfer
// (BiT), with group norm, standardised kernels and several times the width:
// https://arxiv.org/abs/1912.11370;
// EvoNorm https://arxiv.org/abs/2004.02967, filter response norm https://arxiv.org/abs/1911.09737.
#include "kintsugi/nn/blocks/resnetv2.h"
#include "kintsugi/autograd/ops/layout.h"
#include "kintsugi/nn/blocks/heads.h"
#include "kintsugi/zoo/families/families.h"

namespace kintsugi::zoo::families {

namespace {

enum class StemKind {
  k7x7,
  kDeep,    // three 3x3 convolutions of half, half and the full width
  kTiered,  // of 3/8, half and the full width
};

struct Description {
  bool bottleneck;
  std::vector<int64_t> depths;
  StemKind stem = StemKind::k7x7;  // all but 7x7 have pooling shortcuts
  nn::Norm norm = nn::Norm::kBatch;
  bool bit = false;
  int64_t width = 1;  // times ResNet's
};

// BiT pads with zeros, which win over negative features, where others pad the pooling.
class ZeroPad : public nn::Module {
 protected:
  nn::Variable forward(const nn::Variable& x) override {
    return autograd::pad(x, {{2, 1, 1}, {3, 1, 1}});
  }
};

std::shared_ptr<nn::Module> make_stem(int64_t in, int64_t out, const Description& d) {
  using Options = nn::Conv2d::Options;
  auto stem = std::make_shared<nn::Sequential>();
  if (d.stem == StemKind::k7x7) {
    stem->adopt("conv", nn::make_conv(in, out, {.kernel = 7, .stride = 2, .padding = 3}, d.bit));
  } else {
    const int64_t first = d.stem == StemKind::kTiered ? 3 * out / 8 : out / 2;
    stem->add<nn::Conv2d>("conv1", in, first, Options{.kernel = 3, .stride = 2, .padding = 1});
    stem->add<nn::NormAct>("norm1", d.norm, first, nn::Act::kRelu);
    stem->add<nn::Conv2d>("conv2", first, out / 2, Options{.kernel = 3, .padding = 1});
    stem->add<nn::NormAct>("norm2", d.norm, out / 2, nn::Act::kRelu);
    stem->add<nn::Conv2d>("conv3", out / 2, out, Options{.kernel = 3, .padding = 1});
  }
  if (d.bit) stem->add<ZeroPad>("pad");
  stem->add<nn::MaxPool2d>("pool", ops::Pool2dParams::square(3, 2, d.bit ? 0 : 1));
  return stem;
}

std::shared_ptr<nn::Network> build(const Variant& variant, const BuildOptions& options,
                                   const Description& d) {
  auto network = std::make_shared<nn::Network>(variant.name, options.input, options.classes);
  const bool deep = d.stem != StemKind::k7x7;
  network->first_conv = deep ? "stem.conv1.weight" : "stem.conv.weight";
  network->classifier = "head.fc";
  int64_t in = 64 * d.width;
  network->set_stem("stem", make_stem(options.input[0], in, d));
  int64_t total = 0, index = 0;
  for (const int64_t depth : d.depths) total += depth;
  for (size_t stage = 0; stage < d.depths.size(); ++stage) {
    const int64_t out = ((d.bottleneck ? 256 : 64) << stage) * d.width;
    for (int64_t i = 0; i < d.depths[stage]; ++i, ++index) {
      const nn::PreActOptions block{.stride = stage > 0 && i == 0 ? 2 : 1,
                                    .standardised = d.bit,
                                    .avg_down = deep,
                                    .norm = d.norm,
                                    .drop_path = drop_path_at(options.drop_path, index, total)};
      const std::string name = "stages." + std::to_string(stage) + ".blocks." + std::to_string(i);
      if (d.bottleneck) {
        network->add_block(name, std::make_shared<nn::PreActBottleneck>(in, out, block));
      } else {
        network->add_block(name, std::make_shared<nn::PreActBasic>(in, out, block));
      }
      in = out;
    }
  }
  auto head = std::make_shared<nn::Sequential>();
  head->add<nn::NormAct>("norm", d.norm, in, nn::Act::kRelu);
  head->add<nn::PoolHead>("head", in, options.classes, nn::PoolHead::Options{.conv = true});
  network->set_head("", std::move(head));
  return network;
}

// The images of timm's default tag; mean and std of 0.5.
struct Images {
  double crop_pct = 0.875;
  int64_t side = 224;
  const char* interpolation = "bicubic";
};

Variant variant(const std::string& name, const Description& d, const Images& images = {}) {
  Variant v{.name = name, .family = d.bit ? "bit" : "resnetv2"};
  v.input = {3, images.side, images.side};
  v.preprocessing = half_preprocessing(images.crop_pct);
  v.preprocessing.interpolation = images.interpolation;
  v.build = [d](const Variant& self, const BuildOptions& options) {
    return build(self, options, d);
  };
  return v;
}

}  // namespace

std::vector<Variant> resnetv2() {
  const std::vector<int64_t> d18{2, 2, 2, 2}, d34{3, 4, 6, 3}, d101{3, 4, 23, 3}, d152{3, 8, 36, 3};
  const auto bit = [](const std::vector<int64_t>& depths, int64_t width) {
    return Description{true, depths, StemKind::k7x7, nn::Norm::kGroup32, true, width};
  };
  const Images large{1, 448, "bilinear"};
  return {
      variant("resnetv2_18", {false, d18}, {0.9}),
      variant("resnetv2_18d", {false, d18, StemKind::kDeep}, {0.9}),
      variant("resnetv2_34", {false, d34}, {0.9}),
      variant("resnetv2_34d", {false, d34, StemKind::kDeep}, {0.9}),
      variant("resnetv2_50", {true, d34}, {0.95}),
      variant("resnetv2_50d", {true, d34, StemKind::kDeep}),
      variant("resnetv2_50t", {true, d34, StemKind::kTiered}),
      variant("resnetv2_101", {true, d101}, {0.95}),
      variant("resnetv2_101d", {true, d101, StemKind::kDeep}),
      variant("resnetv2_152", {true, d152}),
      variant("resnetv2_152d", {true, d152, StemKind::kDeep}),
      variant("resnetv2_50d_gn", {true, d34, StemKind::kDeep, nn::Norm::kGroup32}, {0.95}),
      variant("resnetv2_50d_evos", {true, d34, StemKind::kDeep, nn::Norm::kEvoS0}, {0.95}),
      variant("resnetv2_50d_frn", {true, d34, StemKind::kDeep, nn::Norm::kFilterResponse}),
      variant("resnetv2_50x1_bit", bit(d34, 1)),
      variant("resnetv2_50x3_bit", bit(d34, 3), large),
      variant("resnetv2_101x1_bit", bit(d101, 1), large),
      variant("resnetv2_101x3_bit", bit(d101, 3), large),
      variant("resnetv2_152x2_bit", bit(d152, 2)),
      variant("resnetv2_152x4_bit", bit(d152, 4), {1, 480, "bilinear"}),
  };
}

}  // namespace kintsugi::zoo::families
