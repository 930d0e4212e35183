// VGG: https://arxiv.org/abs/1409.1556.
#include <algorithm>
#include <map>

#include "kintsugi/autograd/ops/pool.h"
#include "kintsugi/engine/ops/layout.h"
#include "kintsugi/nn/blocks/heads.h"
#include "kintsugi/nn/layers/layers.h"
#include "kintsugi/zoo/families/families.h"

namespace kintsugi::zoo::families {

namespace {

struct Description {
  std::vector<int64_t> depths;  // of the five stages, each of which a 2x2 pooling ends
  bool norm;
};

constexpr int64_t kWidths[] = {64, 128, 256, 512, 512};
constexpr int64_t kGrid = 7;         // what the head's first kernel covers
constexpr int64_t kFeatures = 4096;  // of the head

// Fewer than 7x7 pixels are stretched to as many, as timm does.
class AtLeastGrid : public nn::Module {
 protected:
  nn::Variable forward(const nn::Variable& x) override {
    const int64_t h = std::max(kGrid, x.size(2)), w = std::max(kGrid, x.size(3));
    return h == x.size(2) && w == x.size(3) ? x : autograd::adaptive_avg_pool2d(x, h, w);
  }
};

std::shared_ptr<nn::Module> make_head(int64_t in, int64_t classes) {
  auto head = std::make_shared<nn::Sequential>();
  head->add<AtLeastGrid>("grid");
  head->add<nn::Conv2d>("pre_logits.fc1", in, kFeatures,
                        nn::Conv2d::Options{.kernel = kGrid, .bias = true});
  head->add<nn::Activation>("act1", nn::Act::kRelu);
  head->add<nn::Conv2d>("pre_logits.fc2", kFeatures, kFeatures, nn::Conv2d::Options{.bias = true});
  head->add<nn::Activation>("act2", nn::Act::kRelu);
  head->add<nn::GlobalAvgPool>("global_pool");
  head->adopt("head.fc", nn::make_classifier(kFeatures, classes));
  return head;
}

// A node is a convolution with its norm and activation, and the pooling after it; the first is the
// stem. Layers are numbered through, those without parameters included.
std::shared_ptr<nn::Network> build(const Variant& variant, const BuildOptions& options,
                                   const Description& d) {
  auto network = std::make_shared<nn::Network>(variant.name, options.input, options.classes);
  network->first_conv = "features.0.weight";
  network->classifier = "head.fc";
  int64_t in = options.input[0], number = 0;
  for (size_t stage = 0; stage < d.depths.size(); ++stage) {
    const int64_t out = kWidths[stage];
    for (int64_t i = 0; i < d.depths[stage]; ++i) {
      const std::string name = "features." + std::to_string(number);
      auto unit = std::make_shared<nn::Sequential>();
      unit->add<nn::Conv2d>(std::to_string(number++), in, out,
                            nn::Conv2d::Options{.kernel = 3, .padding = 1, .bias = true});
      if (d.norm) unit->add<nn::BatchNorm2d>(std::to_string(number++), out);
      unit->add<nn::Activation>(std::to_string(number++), nn::Act::kRelu);
      if (i + 1 == d.depths[stage]) {
        unit->add<nn::MaxPool2d>(std::to_string(number++), ops::Pool2dParams::square(2, 2));
      }
      if (!network->stem()) {
        network->set_stem("features", std::move(unit));
      } else {
        network->add_block(name, std::move(unit), "features", nullptr);
      }
      in = out;
    }
  }
  network->set_head("", make_head(in, options.classes));
  return network;
}

// torchvision's head is made of linear layers: the same numbers, as kernels of 7x7 and 1x1 pixels.
std::string rename(nn::State& state) {
  if (!state.contains("classifier.6.weight")) return "";
  const std::map<std::string, std::string> names{{"classifier.0", "pre_logits.fc1"},
                                                 {"classifier.3", "pre_logits.fc2"},
                                                 {"classifier.6", "head.fc"}};
  for (const auto& [from, to] : names) {
    for (const char* leaf : {".weight", ".bias"}) {
      auto node = state.extract(from + leaf);
      if (node.empty()) continue;
      Tensor& tensor = node.mapped();
      const int64_t k = from == "classifier.0" ? kGrid : 1;
      if (from != "classifier.6" && tensor.rank() == 2 && tensor.size(1) % (k * k) == 0) {
        tensor = ops::reshape(tensor, {tensor.size(0), tensor.size(1) / (k * k), k, k});
      }
      node.key() = to + leaf;
      state.insert(std::move(node));
    }
  }
  return "torchvision";
}

Variant variant(const std::string& name, const Description& description) {
  Variant v{.name = name, .family = "vgg"};
  v.preprocessing = imagenet_preprocessing(0.875, "bilinear");
  v.build = [description](const Variant& self, const BuildOptions& options) {
    return build(self, options, description);
  };
  v.rename = rename;
  return v;
}

}  // namespace

std::vector<Variant> vgg() {
  return {
      variant("vgg11", {{1, 1, 2, 2, 2}, false}), variant("vgg11_bn", {{1, 1, 2, 2, 2}, true}),
      variant("vgg13", {{2, 2, 2, 2, 2}, false}), variant("vgg13_bn", {{2, 2, 2, 2, 2}, true}),
      variant("vgg16", {{2, 2, 3, 3, 3}, false}), variant("vgg16_bn", {{2, 2, 3, 3, 3}, true}),
      variant("vgg19", {{2, 2, 4, 4, 4}, false}), variant("vgg19_bn", {{2, 2, 4, 4, 4}, true}),
  };
}

}  // namespace kintsugi::zoo::families
