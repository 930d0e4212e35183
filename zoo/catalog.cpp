#include "kintsugi/zoo/catalog.h"

#include "kintsugi/zoo/families/families.h"

namespace kintsugi::zoo {

namespace {

constexpr std::vector<Variant> (*kFamilies[])() = {
    // clang-format off: one line a family
    families::resnet,
    families::resnetv2,
    families::regnet,
    families::mobilenet,
    families::efficientnet,
    families::mnasnet,
    families::tinynet,
    families::lcnet,
    families::fbnet,
    families::densenet,
    families::vgg,
    families::convnext,
    families::vit,
    families::metaformer,
    families::swin,
    families::mixer,
    // clang-format on
};

}  // namespace

Preprocessing imagenet_preprocessing(double crop_pct, const std::string& interpolation) {
  return {{0.485, 0.456, 0.406}, {0.229, 0.224, 0.225}, interpolation, crop_pct};
}

Preprocessing half_preprocessing(double crop_pct) {
  return {{0.5, 0.5, 0.5}, {0.5, 0.5, 0.5}, "bicubic", crop_pct};
}

Preprocessing clip_preprocessing(double crop_pct) {
  return {{0.48145466, 0.4578275, 0.40821073},
          {0.26862954, 0.26130258, 0.27577711},
          "bicubic",
          crop_pct};
}

Preprocessing fashion_mnist_preprocessing() { return {{0.2860}, {0.3530}, "bilinear", 1}; }

const std::vector<Variant>& catalog() {
  static const std::vector<Variant> all = [] {
    std::vector<Variant> list;
    for (const auto family : kFamilies) {
      for (Variant& variant : family()) list.push_back(std::move(variant));
    }
    return list;
  }();
  return all;
}

const Variant& find_variant(const std::string& name) {
  std::vector<std::string> names;
  for (const Variant& variant : catalog()) {
    if (variant.name == name) return variant;
    names.push_back(variant.name);
  }
  fail(ErrorKind::kUsage, "model: got '", name, "', expected a name of the catalog",
       did_you_mean(name, names));
}

std::shared_ptr<nn::Network> build_network(const std::string& name, const BuildOptions& options) {
  const Variant& variant = find_variant(name);
  BuildOptions filled = options;
  if (filled.classes < 0) filled.classes = variant.classes;
  if (filled.input.rank() == 0) filled.input = variant.input;
  if (filled.input.rank() != 3 || filled.input.numel() < 1) {
    fail(ErrorKind::kUsage, "model ", name, ": got input ", filled.input, ", expected (C,H,W)");
  }
  auto network = variant.build(variant, filled);
  network->set_path("");
  return network;
}

double drop_path_at(double last, int64_t index, int64_t count) {
  return count > 1 ? last * double(index) / double(count - 1) : 0;
}

}  // namespace kintsugi::zoo
