// Convolutional networks under strangers' names: see tests/golden/foreign_logits.json.
#include <fstream>
#include <nlohmann/json.hpp>

#include "kintsugi/zoo/catalog.h"
#include "tests/support/compare.h"
#include "tests/support/formula.h"

using namespace kintsugi;

namespace {

using NamePairs = std::vector<std::pair<std::string, std::string>>;

void check_names(const std::string& model, const std::string& naming, const NamePairs& names) {
  INFO(model);
  const zoo::Variant& variant = zoo::find_variant(model);
  nn::State state;
  for (const auto& [theirs, ours] : names) state[theirs] = Tensor::zeros({1});
  CHECK(variant.rename(state) == naming);
  CHECK(state.size() == names.size());
  for (const auto& [theirs, ours] : names) CHECK_MESSAGE(state.contains(ours), ours);
  // timm's own stay.
  nn::State again = state;
  CHECK(variant.rename(again) == "");
  CHECK(again.size() == state.size());
}

}  // namespace

TEST_CASE("foreign: logits equal the stranger's, norms and padding included") {
  const auto golden = nlohmann::json::parse(
      std::ifstream(std::string(KINTSUGI_SOURCE_DIR) + "/tests/golden/foreign_logits.json"));
  for (const auto& entry : golden.at("networks")) {
    const std::string name = entry.at("name");
    INFO(name);
    nn::State state;
    for (const auto& [tensor, extents] : entry.at("tensors").items()) {
      const auto shape = extents.get<std::vector<int64_t>>();
      state[tensor] =
          test::formula_tensor(tensor, Shape(std::span<const int64_t>(shape)), entry.at("gain"));
    }
    const std::string naming = zoo::find_variant(name).rename(state);
    const auto network = zoo::build_network(name, {.naming = naming});
    network->load_state(state);
    const auto input = entry.at("input").get<std::vector<int64_t>>();
    autograd::NoGrad no_grad;
    const Tensor images = test::formula_images(Shape(std::span<const int64_t>(input)));
    const Tensor logits = (*network)(nn::Variable(images)).value();
    const double tolerance = 1e-4 * entry.at("scale").get<double>();
    const auto want = entry.at("logits").get<std::vector<std::vector<double>>>();
    for (size_t image = 0; image < want.size(); ++image) {
      const auto got = logits.slice(0, int64_t(image), int64_t(image) + 1).to_vector<double>();
      for (size_t c = 0; c < want[image].size(); ++c) {
        CHECK(std::abs(got[c] - want[image][c]) <= tolerance);
      }
    }
  }
}

TEST_CASE("foreign: names") {
  // As state_dict() of torchvision 0.29 has them.
  check_names("mobilenetv2_100", "torchvision",
              {{"features.0.0.weight", "conv_stem.weight"},
               {"features.0.1.running_var", "bn1.running_var"},
               {"features.1.conv.0.0.weight", "blocks.0.0.conv_dw.weight"},
               {"features.1.conv.0.1.bias", "blocks.0.0.bn1.bias"},
               {"features.1.conv.1.weight", "blocks.0.0.conv_pw.weight"},
               {"features.1.conv.2.weight", "blocks.0.0.bn2.weight"},
               {"features.2.conv.0.0.weight", "blocks.1.0.conv_pw.weight"},
               {"features.3.conv.1.1.bias", "blocks.1.1.bn2.bias"},
               {"features.17.conv.2.weight", "blocks.6.0.conv_pwl.weight"},
               {"features.17.conv.3.running_mean", "blocks.6.0.bn3.running_mean"},
               {"features.18.0.weight", "conv_head.weight"},
               {"features.18.1.weight", "bn2.weight"},
               {"classifier.1.weight", "classifier.weight"}});
  check_names("efficientnetv2_s", "torchvision",
              {{"features.0.0.weight", "conv_stem.weight"},
               {"features.1.0.block.0.0.weight", "blocks.0.0.conv.weight"},
               {"features.1.1.block.0.1.bias", "blocks.0.1.bn1.bias"},
               {"features.2.3.block.0.0.weight", "blocks.1.3.conv_exp.weight"},
               {"features.2.3.block.1.0.weight", "blocks.1.3.conv_pwl.weight"},
               {"features.6.14.block.1.1.weight", "blocks.5.14.bn2.weight"},
               {"features.6.14.block.2.fc1.weight", "blocks.5.14.se.conv_reduce.weight"},
               {"features.6.14.block.2.fc2.bias", "blocks.5.14.se.conv_expand.bias"},
               {"features.6.14.block.3.0.weight", "blocks.5.14.conv_pwl.weight"},
               {"features.7.0.weight", "conv_head.weight"},
               {"classifier.1.bias", "classifier.bias"}});
  check_names("densenet121", "torchvision",
              {{"features.conv0.weight", "features.conv0.weight"},
               {"features.denseblock1.denselayer1.norm.1.weight",
                "features.denseblock1.denselayer1.norm1.weight"},
               {"features.denseblock4.denselayer16.conv.2.weight",
                "features.denseblock4.denselayer16.conv2.weight"},
               {"features.transition1.conv.weight", "features.transition1.conv.weight"},
               {"features.norm5.bias", "features.norm5.bias"}});
  check_names("vgg16_bn", "torchvision",
              {{"features.40.weight", "features.40.weight"},
               {"classifier.0.bias", "pre_logits.fc1.bias"},
               {"classifier.3.bias", "pre_logits.fc2.bias"},
               {"classifier.6.weight", "head.fc.weight"}});
}

TEST_CASE("foreign: VGG's linear layers become kernels") {
  nn::State state{{"classifier.0.weight", Tensor::zeros({3, 2 * 49})},
                  {"classifier.3.weight", Tensor::zeros({4, 3})},
                  {"classifier.6.weight", Tensor::zeros({5, 4})}};
  zoo::find_variant("vgg11").rename(state);
  CHECK(state.at("pre_logits.fc1.weight").shape() == Shape{3, 2, 7, 7});
  CHECK(state.at("pre_logits.fc2.weight").shape() == Shape{4, 3, 1, 1});
  CHECK(state.at("head.fc.weight").shape() == Shape{5, 4});
}
