// ResNet and its descendants: https://arxiv.org/abs/1512.03385, ResNeXt
// https://arxiv.org/abs/1611.05431, Wide ResNet https://arxiv.org/abs/1605.07146, SENet
// https://arxiv.org/abs/1709.01507, the C, D, S and T stems https://arxiv.org/abs/1812.01187,
// ECA-Net https://arxiv.org/abs/1910.03151, anti-aliasing https://arxiv.org/abs/1904.11486,
// ResNet-RS https://arxiv.org/abs/2103.07579, and the networks for CIFAR-10 of the first paper's
// section 4.2 under the names of akamaster/pytorch_resnet_cifar10. torchvision's ResNets have
// timm's names already.
#include "kintsugi/nn/blocks/resnet.h"
#include "kintsugi/nn/blocks/heads.h"
#include "kintsugi/zoo/families/families.h"

namespace kintsugi::zoo::families {

namespace {

// What stands before the first stage and halves the grid twice.
enum class StemKind {
  k7x7,     // one 7x7 convolution, then max pooling
  kDeep,    // three 3x3 convolutions of widths w, w, 2w, then max pooling
  kTiered,  // of widths 3w/4, w, 2w
  kSmall,   // one 3x3 convolution without stride or pooling, for images of about 32x32
};

// The letters by which stems and shortcuts are known; the number is the deep stems' w.
struct Letter {
  StemKind stem = StemKind::k7x7;
  int64_t width = 64;
  nn::Shortcut shortcut = nn::Shortcut::kConv;
};
constexpr Letter kB{}, kC{StemKind::kDeep, 32}, kD{StemKind::kDeep, 32, nn::Shortcut::kAvg},
    kE{StemKind::kDeep, 64, nn::Shortcut::kAvg}, kS{StemKind::kDeep, 64},
    kT{StemKind::kTiered, 32, nn::Shortcut::kAvg}, kLight{StemKind::k7x7, 64, nn::Shortcut::kAvg},
    kSenet{StemKind::kDeep, 64, nn::Shortcut::kConv3},
    kTest{StemKind::kDeep, 16, nn::Shortcut::kAvg}, kNano{StemKind::kSmall},
    kCifar{StemKind::kSmall, 64, nn::Shortcut::kPadded};

using Depths = std::vector<int64_t>;
constexpr const char *kBasic = "bbbb", *kBottleneck = "BBBB";  // a letter for each stage

struct Description {
  std::string blocks;
  Depths depths;
  Letter letter = kB;
  int64_t groups = 1, base_width = 64;
  nn::ChannelAttention attention = nn::ChannelAttention::kNone;
  nn::AntiAlias anti_alias = nn::AntiAlias::kNone;
  nn::Norm norm = nn::Norm::kBatch;
  bool rs = false;  // a strided convolution instead of the max pooling, SE to a quarter
  int64_t reduce_first = 1;
  Depths channels = {64, 128, 256, 512};
  std::string classifier = "fc";
};

constexpr auto kSe = nn::ChannelAttention::kSe, kEca = nn::ChannelAttention::kEca;
constexpr auto kAvg = nn::AntiAlias::kAvg, kBlur = nn::AntiAlias::kBlur;

int64_t stem_width(const Description& d) {
  switch (d.letter.stem) {
    case StemKind::k7x7:
      return 64;
    case StemKind::kSmall:
      return d.channels[0];
    default:
      return 2 * d.letter.width;
  }
}

std::shared_ptr<nn::Module> make_stem_conv(int64_t in, const Description& d) {
  using Options = nn::Conv2d::Options;
  const int64_t out = stem_width(d), w = d.letter.width;
  switch (d.letter.stem) {
    case StemKind::k7x7:
      return std::make_shared<nn::Conv2d>(in, out, Options{.kernel = 7, .stride = 2, .padding = 3});
    case StemKind::kSmall:
      return std::make_shared<nn::Conv2d>(in, out, Options{.kernel = 3, .padding = 1});
    default:
      break;
  }
  const int64_t first = d.letter.stem == StemKind::kTiered ? w / 4 * 3 : w;
  auto conv = std::make_shared<nn::Sequential>();
  conv->add<nn::Conv2d>("0", in, first, Options{.kernel = 3, .stride = 2, .padding = 1});
  conv->adopt("1", nn::make_norm(d.norm, first));
  conv->add<nn::Activation>("2", nn::Act::kRelu);
  conv->add<nn::Conv2d>("3", first, w, Options{.kernel = 3, .padding = 1});
  conv->adopt("4", nn::make_norm(d.norm, w));
  conv->add<nn::Activation>("5", nn::Act::kRelu);
  conv->add<nn::Conv2d>("6", w, out, Options{.kernel = 3, .padding = 1});
  return conv;
}

// timm calls it "maxpool" whatever it is.
std::shared_ptr<nn::Module> make_stem_pool(const Description& d) {
  const int64_t width = stem_width(d);
  auto pool = std::make_shared<nn::Sequential>();
  if (d.letter.stem == StemKind::kSmall) return pool;
  if (d.rs) {
    pool->add<nn::Conv2d>("0", width, width,
                          nn::Conv2d::Options{.kernel = 3, .stride = 2, .padding = 1});
    pool->adopt("1", nn::make_norm(d.norm, width));
    pool->add<nn::Activation>("2", nn::Act::kRelu);
    return pool;
  }
  if (d.anti_alias != kAvg) {
    const int64_t stride = d.anti_alias == kBlur ? 1 : 2;
    pool->add<nn::MaxPool2d>("0", ops::Pool2dParams::square(3, stride, 1));
  }
  pool->adopt("1", nn::make_anti_alias(d.anti_alias));
  return pool;
}

std::shared_ptr<nn::Network> build(const Variant& variant, const BuildOptions& options,
                                   const Description& d) {
  auto network = std::make_shared<nn::Network>(variant.name, options.input, options.classes);
  const bool deep = d.letter.stem == StemKind::kDeep || d.letter.stem == StemKind::kTiered;
  network->first_conv = deep ? "conv1.0.weight" : "conv1.weight";
  network->classifier = d.classifier;
  auto stem = std::make_shared<nn::Sequential>();
  stem->adopt("conv1", make_stem_conv(options.input[0], d));
  stem->adopt("bn1", nn::make_norm(d.norm, stem_width(d)));
  stem->add<nn::Activation>("act1", nn::Act::kRelu);
  stem->adopt("maxpool", make_stem_pool(d));
  network->set_stem("", std::move(stem));
  int64_t total = 0, index = 0, in = stem_width(d);
  for (const int64_t depth : d.depths) total += depth;
  for (size_t stage = 0; stage < d.depths.size(); ++stage) {
    const int64_t channels = d.channels[stage];
    for (int64_t i = 0; i < d.depths[stage]; ++i, ++index) {
      const nn::ResidualOptions block{.stride = stage > 0 && i == 0 ? 2 : 1,
                                      .groups = d.groups,
                                      .base_width = d.base_width,
                                      .reduce_first = d.reduce_first,
                                      .shortcut = d.letter.shortcut,
                                      .anti_alias = d.anti_alias,
                                      .attention = d.attention,
                                      .se_ratio = d.rs ? 1.0 / 4 : 1.0 / 16,
                                      .norm = d.norm,
                                      .drop_path = drop_path_at(options.drop_path, index, total)};
      const std::string name = "layer" + std::to_string(stage + 1) + "." + std::to_string(i);
      if (d.blocks[stage] == 'B') {
        network->add_block(name, std::make_shared<nn::Bottleneck>(in, channels, block));
        in = channels * nn::Bottleneck::kExpansion;
      } else {
        network->add_block(name, std::make_shared<nn::BasicBlock>(in, channels, block));
        in = channels * nn::BasicBlock::kExpansion;
      }
    }
  }
  network->set_head(
      "", std::make_shared<nn::PoolHead>(in, options.classes,
                                         nn::PoolHead::Options{.classifier = d.classifier}));
  return network;
}

// The images of timm's default tag; ImageNet's mean and std.
struct Images {
  int64_t side = 224;
  double crop_pct = 0.875;
  const char* interpolation = "bicubic";
};

Variant variant(const std::string& name, const std::string& family, const Description& description,
                const Images& images = {}) {
  Variant v{.name = name, .family = family};
  v.input = {3, images.side, images.side};
  v.preprocessing = imagenet_preprocessing(images.crop_pct, images.interpolation);
  v.build = [description](const Variant& self, const BuildOptions& options) {
    return build(self, options, description);
  };
  return v;
}

Variant test_resnet() {
  Variant v = variant(
      "test_resnet", "resnet",
      {.blocks = "bbBb", .depths = {1, 1, 1, 1}, .letter = kTest, .channels = {32, 48, 48, 96}});
  v.input = {3, 160, 160};
  v.preprocessing = half_preprocessing(0.95);
  v.preprocessing.interpolation = "bilinear";
  return v;
}

Variant cifar(int64_t depth) {
  const int64_t blocks = (depth - 2) / 6;
  Variant v = variant("resnet" + std::to_string(depth) + "_cifar10", "resnet",
                      {.blocks = "bbb",
                       .depths = {blocks, blocks, blocks},
                       .letter = kCifar,
                       .channels = {16, 32, 64},
                       .classifier = "linear"},
                      {32, 1, "bilinear"});
  v.classes = 10;
  return v;
}

Variant nano() {
  Variant v =
      variant("resnet_nano", "resnet",
              {.blocks = "bbb", .depths = {2, 3, 3}, .letter = kNano, .channels = {16, 32, 64}});
  v.input = {1, 28, 28};
  v.classes = 10;
  v.preprocessing = fashion_mnist_preprocessing();
  return v;
}

}  // namespace

std::vector<Variant> resnet() {
  const Depths d10{1, 1, 1, 1}, d18{2, 2, 2, 2}, d34{3, 4, 6, 3}, d101{3, 4, 23, 3},
      d152{3, 8, 36, 3}, d200{3, 24, 36, 3}, d269{3, 30, 48, 8};
  const auto basic = [](const Depths& depths, const Letter& letter = kB) {
    return Description{kBasic, depths, letter};
  };
  const auto deep = [](const Depths& depths, const Letter& letter = kB) {
    return Description{kBottleneck, depths, letter};
  };
  const auto wide = [](Description d, int64_t groups, int64_t base_width) {
    d.groups = groups;
    d.base_width = base_width;
    return d;
  };
  const auto with = [](nn::ChannelAttention attention, Description d) {
    d.attention = attention;
    return d;
  };
  const auto smooth = [](nn::AntiAlias anti_alias, Description d) {
    d.anti_alias = anti_alias;
    return d;
  };
  const auto rs = [](const Depths& depths) {
    return Description{
        .blocks = kBottleneck, .depths = depths, .letter = kD, .attention = kSe, .rs = true};
  };
  Description senet154{kBottleneck, d152, kSenet, 64, 4, kSe};
  senet154.reduce_first = 2;

  return {
      variant("resnet10t", "resnet", basic(d10, kT), {176}),
      variant("resnet14t", "resnet", deep(d10, kT), {176}),
      variant("resnet18", "resnet", basic(d18), {224, 0.95}),
      variant("resnet18d", "resnet", basic(d18, kD)),
      variant("resnet34", "resnet", basic(d34), {224, 0.95}),
      variant("resnet34d", "resnet", basic(d34, kD)),
      variant("resnet26", "resnet", deep(d18)),
      variant("resnet26t", "resnet", deep(d18, kT), {256, 0.94}),
      variant("resnet26d", "resnet", deep(d18, kD)),
      variant("resnet50", "resnet", deep(d34), {224, 0.95}),
      variant("resnet50c", "resnet", deep(d34, kC)),
      variant("resnet50d", "resnet", deep(d34, kD)),
      variant("resnet50s", "resnet", deep(d34, kS)),
      variant("resnet50t", "resnet", deep(d34, kT)),
      variant("resnet101", "resnet", deep(d101), {224, 0.95}),
      variant("resnet101c", "resnet", deep(d101, kC)),
      variant("resnet101d", "resnet", deep(d101, kD), {256, 0.95}),
      variant("resnet101s", "resnet", deep(d101, kS)),
      variant("resnet152", "resnet", deep(d152), {224, 0.95}),
      variant("resnet152c", "resnet", deep(d152, kC)),
      variant("resnet152d", "resnet", deep(d152, kD), {256, 0.95}),
      variant("resnet152s", "resnet", deep(d152, kS)),
      variant("resnet200", "resnet", deep(d200)),
      variant("resnet200d", "resnet", deep(d200, kD), {256, 0.95}),
      variant("wide_resnet50_2", "resnet", wide(deep(d34), 1, 128)),
      variant("wide_resnet101_2", "resnet", wide(deep(d101), 1, 128), {224, 0.875, "bilinear"}),
      variant("resnet50_gn", "resnet",
              {.blocks = kBottleneck, .depths = d34, .norm = nn::Norm::kGroup32}, {224, 0.94}),
      variant("resnext50_32x4d", "resnext", wide(deep(d34), 32, 4), {224, 0.95}),
      variant("resnext50d_32x4d", "resnext", wide(deep(d34, kD), 32, 4)),
      variant("resnext101_32x4d", "resnext", wide(deep(d101), 32, 4), {224, 0.875, "bilinear"}),
      variant("resnext101_32x8d", "resnext", wide(deep(d101), 32, 8), {224, 0.875, "bilinear"}),
      variant("resnext101_32x16d", "resnext", wide(deep(d101), 32, 16), {224, 0.875, "bilinear"}),
      variant("resnext101_32x32d", "resnext", wide(deep(d101), 32, 32), {224, 0.875, "bilinear"}),
      variant("resnext101_64x4d", "resnext", wide(deep(d101), 64, 4), {224, 0.95}),
      variant("ecaresnet26t", "ecaresnet", with(kEca, deep(d18, kT)), {256}),
      variant("ecaresnet50d", "ecaresnet", with(kEca, deep(d34, kD))),
      variant("ecaresnet50t", "ecaresnet", with(kEca, deep(d34, kT)), {256}),
      variant("ecaresnetlight", "ecaresnet", with(kEca, deep({1, 1, 11, 3}, kLight))),
      variant("ecaresnet101d", "ecaresnet", with(kEca, deep(d101, kD))),
      variant("ecaresnet200d", "ecaresnet", with(kEca, deep(d200, kD)), {256, 0.95}),
      variant("ecaresnet269d", "ecaresnet", with(kEca, deep(d269, kD)), {320, 0.95}),
      variant("ecaresnext26t_32x4d", "ecaresnet", with(kEca, wide(deep(d18, kT), 32, 4))),
      variant("ecaresnext50t_32x4d", "ecaresnet", with(kEca, wide(deep(d18, kT), 32, 4))),
      variant("seresnet18", "senet", with(kSe, basic(d18))),
      variant("seresnet34", "senet", with(kSe, basic(d34))),
      variant("seresnet50", "senet", with(kSe, deep(d34)), {224, 0.95}),
      variant("seresnet50t", "senet", with(kSe, deep(d34, kT))),
      variant("seresnet101", "senet", with(kSe, deep(d101))),
      variant("seresnet152", "senet", with(kSe, deep(d152))),
      variant("seresnet152d", "senet", with(kSe, deep(d152, kD)), {256, 0.95}),
      variant("seresnet200d", "senet", with(kSe, deep(d200, kD)), {256}),
      variant("seresnet269d", "senet", with(kSe, deep(d269, kD)), {256}),
      variant("seresnext26d_32x4d", "senet", with(kSe, wide(deep(d18, kD), 32, 4))),
      variant("seresnext26t_32x4d", "senet", with(kSe, wide(deep(d18, kT), 32, 4))),
      variant("seresnext50_32x4d", "senet", with(kSe, wide(deep(d34), 32, 4))),
      variant("seresnext101_32x4d", "senet", with(kSe, wide(deep(d101), 32, 4))),
      variant("seresnext101_32x8d", "senet", with(kSe, wide(deep(d101), 32, 8)), {224, 0.95}),
      variant("seresnext101d_32x8d", "senet", with(kSe, wide(deep(d101, kD), 32, 8)), {224, 0.95}),
      variant("seresnext101_64x4d", "senet", with(kSe, wide(deep(d101), 64, 4))),
      variant("senet154", "senet", senet154),
      variant("resnetblur18", "resnet", smooth(kBlur, basic(d18))),
      variant("resnetblur50", "resnet", smooth(kBlur, deep(d34))),
      variant("resnetblur50d", "resnet", smooth(kBlur, deep(d34, kD))),
      variant("resnetblur101d", "resnet", smooth(kBlur, deep(d101, kD))),
      variant("resnetaa34d", "resnet", smooth(kAvg, basic(d34, kD))),
      variant("resnetaa50", "resnet", smooth(kAvg, deep(d34)), {224, 0.95}),
      variant("resnetaa50d", "resnet", smooth(kAvg, deep(d34, kD)), {224, 0.95}),
      variant("resnetaa101d", "resnet", smooth(kAvg, deep(d101, kD)), {224, 0.95}),
      variant("seresnetaa50d", "senet", with(kSe, smooth(kAvg, deep(d34, kD)))),
      variant("seresnextaa101d_32x8d", "senet",
              with(kSe, smooth(kAvg, wide(deep(d101, kD), 32, 8))), {288, 0.95}),
      variant("seresnextaa201d_32x8d", "senet",
              with(kSe, smooth(kAvg, wide(deep({3, 24, 36, 4}, kE), 32, 8))), {384, 1}),
      variant("resnetrs50", "resnetrs", rs(d34), {160, 0.91}),
      variant("resnetrs101", "resnetrs", rs(d101), {192, 0.94}),
      variant("resnetrs152", "resnetrs", rs(d152), {256, 1}),
      variant("resnetrs200", "resnetrs", rs(d200), {256, 1}),
      variant("resnetrs270", "resnetrs", rs({4, 29, 53, 4}), {256, 1}),
      variant("resnetrs350", "resnetrs", rs({4, 36, 72, 4}), {288, 1}),
      variant("resnetrs420", "resnetrs", rs({4, 44, 87, 4}), {320, 1}),
      test_resnet(),
      cifar(20),
      cifar(32),
      cifar(44),
      cifar(56),
      nano(),
  };
}

}  // namespace kintsugi::zoo::families
