// DenseNet: https://arxiv.org/abs/1608.06993.
#include "kintsugi/nn/blocks/densenet.h"
#include "kintsugi/nn/blocks/heads.h"
#include "kintsugi/nn/layers/blur_pool.h"
#include "kintsugi/zoo/families/families.h"

namespace kintsugi::zoo::families {

namespace {

struct Description {
  int64_t growth;
  std::vector<int64_t> depths;
  bool deep_stem = false;  // three 3x3 convolutions in place of one 7x7
  bool blur = false;       // the stem's pooling blurs as it strides
};

std::shared_ptr<nn::Module> make_stem(const Description& d, int64_t in) {
  auto stem = std::make_shared<nn::Sequential>();
  const auto unit = [&](const char* number, int64_t from, int64_t to, int64_t kernel,
                        int64_t stride) {
    stem->add<nn::Conv2d>(
        std::string("conv") + number, from, to,
        nn::Conv2d::Options{.kernel = kernel, .stride = stride, .padding = kernel / 2});
    stem->add<nn::BatchNorm2d>(std::string("norm") + number, to);
    stem->add<nn::Activation>(std::string("act") + number, nn::Act::kRelu);
  };
  if (d.deep_stem) {
    unit("0", in, d.growth, 3, 2);
    unit("1", d.growth, d.growth, 3, 1);
    unit("2", d.growth, 2 * d.growth, 3, 1);
  } else {
    unit("0", in, 2 * d.growth, 7, 2);
  }
  stem->add<nn::MaxPool2d>("pool0", ops::Pool2dParams::square(3, d.blur ? 1 : 2, 1));
  if (d.blur) stem->add<nn::BlurPool2d>("aa");
  return stem;
}

std::shared_ptr<nn::Module> make_head(int64_t channels, int64_t classes) {
  auto head = std::make_shared<nn::Sequential>();
  head->add<nn::BatchNorm2d>("features.norm5", channels);
  head->add<nn::Activation>("act", nn::Act::kRelu);
  head->add<nn::GlobalAvgPool>("global_pool");
  head->adopt("classifier", nn::make_classifier(channels, classes));
  return head;
}

// A node is a dense layer, whose output is all channels so far, or a transition.
std::shared_ptr<nn::Network> build(const Variant& variant, const BuildOptions& options,
                                   const Description& d) {
  auto network = std::make_shared<nn::Network>(variant.name, options.input, options.classes);
  network->first_conv = "features.conv0.weight";
  network->classifier = "classifier";
  network->set_stem("features", make_stem(d, options.input[0]));
  int64_t channels = 2 * d.growth;
  for (size_t i = 0; i < d.depths.size(); ++i) {
    const std::string number = std::to_string(i + 1);
    for (int64_t j = 0; j < d.depths[i]; ++j, channels += d.growth) {
      network->add_block("features.denseblock" + number + ".denselayer" + std::to_string(j + 1),
                         std::make_shared<nn::DenseLayer>(channels, d.growth));
    }
    if (i + 1 == d.depths.size()) break;
    network->add_block("features.transition" + number, nn::dense_transition(channels));
    channels /= 2;
  }
  network->set_head("", make_head(channels, options.classes));
  return network;
}

// torchvision's published weights call the parts of a dense layer "norm.1", "conv.1" and so on.
std::string rename(nn::State& state) {
  nn::State renamed;
  bool found = false;
  for (auto& [name, tensor] : state) {
    std::string to = name;
    const size_t layer = name.find(".denselayer");
    for (const char* part : {".norm.", ".conv."}) {
      const size_t at = layer == std::string::npos ? layer : name.find(part, layer);
      if (at == std::string::npos) continue;
      to.erase(at + 5, 1);
      found = true;
    }
    renamed[to] = tensor;
  }
  state = std::move(renamed);
  return found ? "torchvision" : "";
}

Variant variant(const std::string& name, const Description& description) {
  Variant v{.name = name, .family = "densenet"};
  v.build = [description](const Variant& self, const BuildOptions& options) {
    return build(self, options, description);
  };
  v.rename = rename;
  return v;
}

}  // namespace

std::vector<Variant> densenet() {
  return {
      variant("densenet121", {32, {6, 12, 24, 16}}),
      variant("densenetblur121d", {32, {6, 12, 24, 16}, true, true}),
      variant("densenet169", {32, {6, 12, 32, 32}}),
      variant("densenet201", {32, {6, 12, 48, 32}}),
      variant("densenet161", {48, {6, 12, 36, 24}}),
      variant("densenet264d", {48, {6, 12, 64, 48}, true}),
  };
}

}  // namespace kintsugi::zoo::families
