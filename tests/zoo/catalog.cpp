// Parameters and MACs to the last digit: timm's own (tests/golden/timm_counts.json), and the MetaFormer
// baselines that timm lacks (arXiv 2210.13452, recounted).
#include "kintsugi/zoo/catalog.h"

#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "tests/support/compare.h"

using namespace kintsugi;

TEST_CASE("catalog: timm's parameters, MACs, input, classes and preprocessing") {
  const auto golden = nlohmann::json::parse(
      std::ifstream(std::string(KINTSUGI_SOURCE_DIR) + "/tests/golden/timm_counts.json"));
  std::map<std::string, std::pair<int, int>> have;  // of a module's names: built, all
  std::set<std::string> known;
  for (const zoo::Variant& variant : zoo::catalog()) known.insert(variant.name);
  for (const auto& [name, row] : golden.at("networks").items()) {
    auto& [built, all] = have[row[0]];
    ++all;
    if (!known.contains(name)) continue;
    ++built;
    INFO(name);
    const zoo::Variant& variant = zoo::find_variant(name);
    const nn::Cost cost = zoo::build_network(name)->cost();
    CHECK(cost.params == row[1].get<int64_t>());
    CHECK(cost.macs == row[2].get<int64_t>());
    CHECK(variant.input == Shape{row[3][0], row[3][1], row[3][2]});
    CHECK(variant.classes == row[4].get<int64_t>());
    const auto& statistics = golden.at("statistics").at(row[5].get<std::string>());
    CHECK(variant.preprocessing.mean == statistics.at("mean").get<std::vector<double>>());
    CHECK(variant.preprocessing.std == statistics.at("std").get<std::vector<double>>());
    CHECK(variant.preprocessing.crop_pct == row[6].get<double>());
    CHECK(variant.preprocessing.interpolation == row[7].get<std::string>());
  }
  std::string list;
  int sum = 0;
  for (const auto& [module, counts] : have) {
    list += " " + module + " " + std::to_string(counts.first) + "/" + std::to_string(counts.second);
    sum += counts.first;
  }
  MESSAGE("timm's names that the catalog has: ", sum, ":", list);
}

TEST_CASE("catalog: the MetaFormer baselines that timm lacks") {
  const std::map<std::string, int64_t> golden = {{"identityformer_s12", 11891712},
                                                 {"identityformer_s24", 21341464},
                                                 {"identityformer_s36", 30791216},
                                                 {"identityformer_m36", 56077168},
                                                 {"identityformer_m48", 73346056}};
  for (const auto& [name, params] : golden) {
    INFO(name);
    CHECK(zoo::build_network(name)->cost().params == params);
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
    CHECK((variant.classes == 0) == network->classifier.empty());
    if (variant.classes > 0) CHECK(has(network->classifier + ".weight"));
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
  CHECK_ERROR(zoo::build_network("vit_tiny_patch16_224", {.input = {3, 8, 224}}), "a patch of 16");
}
