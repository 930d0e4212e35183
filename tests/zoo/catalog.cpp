// Parameters and MACs to the last digit. Sources: timm 1.0.29's own counts for the named networks, and
// the MetaFormer baselines' thirteen parameter counts (arXiv 2210.13452, recounted).
#include "kintsugi/zoo/catalog.h"

#include <set>

#include "tests/support/compare.h"

using namespace kintsugi;

namespace {

struct Golden {
  const char* name;
  int64_t params;
  int64_t macs;  // 0: not checked
};

constexpr Golden kGolden[] = {
    {"resnet18", 11689512, 1814073344},
    {"resnet50", 25557032, 4089184256},
    {"resnext50_32x4d", 25028904, 4230479872},
    {"regnetx_008", 7259656, 0},
    {"regnety_008", 6263168, 797176832},
    {"mobilenetv2_100", 3504872, 300774272},
    {"mobilenetv3_large_100", 5483032, 216589760},
    {"vit_tiny_patch16_224", 5717416, 1253683200},
    {"poolformer_s12", 11915176, 1812267008},
    {"poolformerv2_s12", 11891712, 1812267008},
    {"convformer_s18", 26774448, 3940984320},
    {"caformer_s18", 26341656, 4106941440},
    {"identityformer_s12", 11891712, 0},
    {"identityformer_s24", 21341464, 0},
    {"identityformer_s36", 30791216, 0},
    {"identityformer_m36", 56077168, 0},
    {"identityformer_m48", 73346056, 0},
    {"convformer_s36", 40012152, 0},
    {"convformer_m36", 57051640, 0},
    {"convformer_b36", 99882616, 0},
    {"caformer_s36", 39297102, 0},
    {"caformer_m36", 56204878, 0},
    {"caformer_b36", 98753614, 0},
};

}  // namespace

TEST_CASE("catalog: golden parameters and MACs") {
  for (const Golden& golden : kGolden) {
    INFO(golden.name);
    const nn::Cost cost = zoo::build_network(golden.name)->cost();
    CHECK(cost.params == golden.params);
    if (golden.macs != 0) CHECK(cost.macs == golden.macs);
  }
}

TEST_CASE("catalog: every variant builds, and its parts add up") {
  std::set<std::string> names;
  for (const zoo::Variant& variant : zoo::catalog()) {
    INFO(variant.name);
    CHECK(names.insert(variant.name).second);
    const auto network = zoo::build_network(variant.name);
    const nn::Cost whole = network->cost();
    nn::Cost sum = network->stem_cost();
    for (int64_t i = 0; i < int64_t(network->blocks().size()); ++i) {
      const nn::Cost block = network->block_cost(i);
      sum.params += block.params;
      sum.macs += block.macs;
    }
    const nn::Cost head = network->head_cost();
    CHECK(sum.params + head.params == whole.params);
    CHECK(sum.macs + head.macs == whole.macs);
    CHECK(variant.preprocessing.mean.size() == size_t(variant.input[0]));
    const auto state = network->named_parameters();
    const auto has = [&](const std::string& name) {
      return std::any_of(state.begin(), state.end(), [&](const auto& p) { return p.first == name; });
    };
    CHECK(has(network->first_conv));
    CHECK(has(network->classifier + ".weight"));
  }
}

TEST_CASE("catalog: the small networks have 0.1 to 1 million parameters") {
  for (const zoo::Variant& variant : zoo::catalog()) {
    if (variant.classes != 10) continue;
    INFO(variant.name);
    const nn::Cost cost = zoo::build_network(variant.name)->cost();
    CHECK(cost.params >= 100'000);
    CHECK(cost.params <= 1'000'000);
    CHECK(zoo::build_network(variant.name)->blocks().size() >= 8);
  }
}

TEST_CASE("catalog: other classes, channels and sizes") {
  const auto network = zoo::build_network("resnet18", {.classes = 7, .input = {1, 64, 96}});
  CHECK(network->classes() == 7);
  CHECK(network->feature_at(8) == nn::FeatureShape::grid(512, 2, 3));
  CHECK(zoo::build_network("resnet18", {.classes = 7})->cost().params == 11689512 - 993 * 513);
}

TEST_CASE("catalog: errors") {
  CHECK_ERROR(zoo::build_network("resnet5O"), "did you mean 'resnet50'?");
  CHECK_ERROR(zoo::build_network("vit_tiny_patch16_224", {.input = {3, 225, 224}}), "patches of 16");
}
