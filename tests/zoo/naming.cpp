// Weights under other people's names.
#include <unistd.h>

#include <filesystem>
#include <regex>

#include "kintsugi/zoo/assemble.h"
#include "kintsugi/zoo/load.h"
#include "tests/support/compare.h"
#include "tests/support/formula.h"

using namespace kintsugi;
namespace fs = std::filesystem;

namespace {

struct Scratch {
  fs::path path = fs::temp_directory_path() / ("kintsugi-naming-" + std::to_string(::getpid()));
  Scratch() { fs::create_directories(path); }
  ~Scratch() { fs::remove_all(path); }
};

}  // namespace

TEST_CASE("naming: torchvision's RegNet") {
  // As torchvision 0.29's regnet_y_400mf().state_dict() has them.
  const std::pair<const char*, const char*> kNames[] = {
      {"stem.0.weight", "stem.conv.weight"},
      {"stem.1.running_var", "stem.bn.running_var"},
      {"trunk_output.block1.block1-0.proj.0.weight", "s1.b1.downsample.conv.weight"},
      {"trunk_output.block1.block1-0.proj.1.bias", "s1.b1.downsample.bn.bias"},
      {"trunk_output.block1.block1-0.f.a.0.weight", "s1.b1.conv1.conv.weight"},
      {"trunk_output.block1.block1-0.f.a.1.weight", "s1.b1.conv1.bn.weight"},
      {"trunk_output.block3.block3-5.f.b.0.weight", "s3.b6.conv2.conv.weight"},
      {"trunk_output.block3.block3-5.f.b.1.running_mean", "s3.b6.conv2.bn.running_mean"},
      {"trunk_output.block3.block3-5.f.se.fc1.bias", "s3.b6.se.fc1.bias"},
      {"trunk_output.block4.block4-11.f.c.0.weight", "s4.b12.conv3.conv.weight"},
      {"trunk_output.block4.block4-11.f.c.1.bias", "s4.b12.conv3.bn.bias"},
      {"fc.weight", "head.fc.weight"},
  };
  const zoo::Variant& variant = zoo::find_variant("regnety_004");
  nn::State state;
  for (const auto& [theirs, ours] : kNames) state[theirs] = Tensor::zeros({1});
  CHECK(variant.rename(state) == "torchvision");
  CHECK(state.size() == std::size(kNames));
  for (const auto& [theirs, ours] : kNames) CHECK_MESSAGE(state.contains(ours), ours);
  // timm's own stay.
  const nn::State before = state;
  CHECK(variant.rename(state) == "");
  CHECK(state.size() == before.size());
  for (const auto& [name, tensor] : before) CHECK(state.contains(name));
}

TEST_CASE("naming: a card keeps whose names its weights had") {
  Scratch scratch;
  const zoo::LoadedNetwork fresh = zoo::fresh_network("regnetx_002", {}, 1);
  zoo::Weights theirs;
  for (const auto& [name, tensor] : fresh.network->state()) {
    std::string to = std::regex_replace(name, std::regex(R"(^stem\.conv)"), "stem.0");
    to = std::regex_replace(to, std::regex(R"(^stem\.bn)"), "stem.1");
    to = std::regex_replace(to, std::regex(R"(^head\.)"), "");
    for (const auto& [ours, other] :
         {std::pair{"conv1", "f.a"}, {"conv2", "f.b"}, {"conv3", "f.c"}, {"downsample", "proj"}}) {
      to = std::regex_replace(to, std::regex(std::string(ours) + R"(\.conv)"),
                              std::string(other) + ".0");
      to = std::regex_replace(to, std::regex(std::string(ours) + R"(\.bn)"),
                              std::string(other) + ".1");
    }
    std::smatch block;
    if (std::regex_search(to, block, std::regex(R"(^s(\d)\.b(\d+))"))) {
      to = "trunk_output.block" + block[1].str() + ".block" + block[1].str() + "-" +
           std::to_string(std::stoi(block[2]) - 1) + block.suffix().str();
    }
    theirs.tensors[to] = tensor;
  }
  const fs::path file = scratch.path / "theirs.safetensors";
  zoo::write_weights(file, theirs);
  const zoo::LoadedNetwork loaded = zoo::load_network("regnetx_002", file);
  CHECK(loaded.card.naming == "torchvision");
  const nn::State got = loaded.network->state();
  for (const auto& [name, tensor] : fresh.network->state()) {
    CHECK(got.at(name).to_vector<float>() == tensor.to_vector<float>());
  }
  zoo::save_network(scratch.path / "ours.safetensors", *loaded.network, loaded.card);
  CHECK(zoo::load_network("", scratch.path / "ours.safetensors").card.naming == "torchvision");
}

TEST_CASE("naming: a plan builds its parts as their weights' code has them") {
  // torchvision's MobileNetV3 differs from timm's in its batch norms' epsilon.
  Scratch scratch;
  const zoo::Variant& variant = zoo::find_variant("mobilenetv3_small_100");
  const auto logits = [&](const std::string& naming) {
    zoo::PlanFile plan;
    plan.input = variant.input;
    plan.classes = 5;
    plan.preprocessing = variant.preprocessing;
    zoo::PlanFile::Block block;
    block.model = block.architecture = variant.name;
    block.naming = naming;
    block.first = block.last = 1;
    plan.stem.part = block;
    plan.blocks.push_back(block);
    zoo::write_plan(scratch.path / "plan.json", plan);
    const auto network = zoo::build_plan(zoo::read_plan(scratch.path / "plan.json"));
    test::fill_by_formula(*network, 1);
    autograd::NoGrad no_grad;
    return (*network)(nn::Variable(test::formula_images({1, 3, 64, 64}))).value();
  };
  const Tensor timm = logits(""), torchvision = logits("torchvision");
  CHECK(test::error_of(torchvision, timm) > 1e-5);
  CHECK(test::error_of(torchvision, timm) < 1e-1);
}
