// ResNet, ResNeXt and Wide ResNet: https://arxiv.org/abs/1512.03385, https://arxiv.org/abs/1611.05431,
// https://arxiv.org/abs/1605.07146.
#include "kintsugi/nn/blocks/heads.h"
#include "kintsugi/nn/blocks/resnet.h"
#include "kintsugi/zoo/families/families.h"

namespace kintsugi::zoo::families {

namespace {

struct Description {
  bool bottleneck;
  std::vector<int64_t> depths;
  int64_t groups = 1;
  int64_t base_width = 64;
  int64_t width = 64;   // of the first stage
  bool small = false;   // 3x3 stem without stride or pooling, for images of about 32x32
};

class Stem : public nn::Module {
 public:
  Stem(int64_t in, int64_t out, bool small)
      : conv1_(child<nn::Conv2d>("conv1", in, out,
                                 small ? nn::Conv2d::Options{.kernel = 3, .padding = 1}
                                       : nn::Conv2d::Options{.kernel = 7, .stride = 2, .padding = 3})),
        bn1_(child<nn::BatchNorm2d>("bn1", out)),
        act1_(child<nn::Activation>("act1", nn::Act::kRelu)),
        pool_(adopt("maxpool", small ? std::shared_ptr<nn::Module>(std::make_shared<nn::Identity>())
                                     : std::make_shared<nn::MaxPool2d>(
                                           ops::Pool2dParams::square(3, 2, 1)))) {}

 protected:
  nn::Variable forward(const nn::Variable& x) override { return pool_(act1_(bn1_(conv1_(x)))); }

 private:
  nn::Conv2d& conv1_;
  nn::BatchNorm2d& bn1_;
  nn::Activation& act1_;
  nn::Module& pool_;
};

std::shared_ptr<nn::Network> build(const Variant& variant, const BuildOptions& options,
                                   const Description& d) {
  auto network = std::make_shared<nn::Network>(variant.name, options.input, options.classes);
  network->first_conv = "conv1.weight";
  network->classifier = "fc";
  network->set_stem("", std::make_shared<Stem>(options.input[0], d.width, d.small));
  int64_t total = 0, index = 0, in = d.width;
  for (const int64_t depth : d.depths) total += depth;
  for (size_t stage = 0; stage < d.depths.size(); ++stage) {
    const int64_t channels = d.width << stage;
    for (int64_t i = 0; i < d.depths[stage]; ++i, ++index) {
      const int64_t stride = stage > 0 && i == 0 ? 2 : 1;
      const double drop = drop_path_at(options.drop_path, index, total);
      std::shared_ptr<nn::Module> block;
      if (d.bottleneck) {
        block = std::make_shared<nn::Bottleneck>(in, channels, stride, d.groups, d.base_width, drop);
      } else {
        block = std::make_shared<nn::BasicBlock>(in, channels, stride, drop);
      }
      in = channels * (d.bottleneck ? nn::Bottleneck::kExpansion : 1);
      network->add_block("layer" + std::to_string(stage + 1) + "." + std::to_string(i),
                         std::move(block));
    }
  }
  network->set_head("", std::make_shared<nn::PoolHead>(in, options.classes,
                                                       nn::PoolHead::Options{}));
  return network;
}

Variant variant(const std::string& name, const std::string& family, const Description& description) {
  Variant v{.name = name, .family = family};
  v.build = [description](const Variant& self, const BuildOptions& options) {
    return build(self, options, description);
  };
  if (description.small) {
    v.input = {1, 28, 28};
    v.classes = 10;
    v.preprocessing = fashion_mnist_preprocessing();
  }
  return v;
}

}  // namespace

std::vector<Variant> resnet() {
  return {
      variant("resnet18", "resnet", {false, {2, 2, 2, 2}}),
      variant("resnet34", "resnet", {false, {3, 4, 6, 3}}),
      variant("resnet50", "resnet", {true, {3, 4, 6, 3}}),
      variant("resnet101", "resnet", {true, {3, 4, 23, 3}}),
      variant("resnet152", "resnet", {true, {3, 8, 36, 3}}),
      variant("resnext50_32x4d", "resnext", {true, {3, 4, 6, 3}, 32, 4}),
      variant("resnext101_32x4d", "resnext", {true, {3, 4, 23, 3}, 32, 4}),
      variant("resnext101_32x8d", "resnext", {true, {3, 4, 23, 3}, 32, 8}),
      variant("resnext101_64x4d", "resnext", {true, {3, 4, 23, 3}, 64, 4}),
      variant("wide_resnet50_2", "resnet", {true, {3, 4, 6, 3}, 1, 128}),
      variant("wide_resnet101_2", "resnet", {true, {3, 4, 23, 3}, 1, 128}),
      variant("resnet_nano", "resnet", {false, {2, 3, 3}, 1, 64, 16, true}),
  };
}

}  // namespace kintsugi::zoo::families
