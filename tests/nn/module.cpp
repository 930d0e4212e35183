#include "kintsugi/nn/module.h"

#include "kintsugi/nn/blocks/resnet.h"
#include "kintsugi/nn/blocks/vit.h"
#include "tests/support/compare.h"

using namespace kintsugi;
using kintsugi::test::random_tensor;

TEST_CASE("module: names follow registration, children in place") {
  nn::BasicBlock block(4, 8, {.stride = 2});
  std::vector<std::string> names;
  for (const auto& [name, parameter] : block.named_parameters()) names.push_back(name);
  CHECK(names == std::vector<std::string>{"conv1.weight", "conv2.weight", "bn1.weight", "bn1.bias",
                                          "bn2.weight", "bn2.bias", "downsample.0.weight",
                                          "downsample.1.weight", "downsample.1.bias"});
  CHECK(block.named_buffers().size() == 6);
  CHECK(block.parameter_count() == 9 * 32 + 9 * 64 + 16 + 16 + 32 + 16);
}

TEST_CASE("module: a strict load lists everything at once and then changes nothing") {
  nn::Mlp mlp(4, 8);
  Generator generator(1);
  mlp.initialise(generator);
  nn::State state = mlp.state();
  const auto before = state.at("fc1.weight").to_vector<float>();
  state["fc1.weight"] = Tensor::zeros({8, 4});
  state["fc2.weight"] = Tensor::zeros({8, 4});
  state["fc3.weight"] = Tensor::zeros({2});
  state.erase("fc2.bias");
  try {
    mlp.load_state(state);
    FAIL("loaded");
  } catch (const Error& error) {
    CHECK(std::string(error.what()) ==
          "weights do not fit: 1 missing, 1 unexpected, 1 of a wrong shape or dtype");
    REQUIRE(error.details().size() == 3);
    CHECK(error.details()[0] == "missing: fc2.bias (4)");
    CHECK(error.details()[1] == "unexpected: fc3.weight (2)");
    CHECK(error.details()[2] == "wrong shape: fc2.weight got (8,4), expected (4,8)");
  }
  CHECK(mlp.state().at("fc1.weight").to_vector<float>() == before);
}

TEST_CASE("module: a load converts halves and copies") {
  nn::Mlp mlp(4, 8);
  Generator generator(1);
  mlp.initialise(generator);
  nn::State state = mlp.state();
  for (auto& [name, tensor] : state) tensor = tensor.to(DType::kF16);
  mlp.load_state(state);
  const auto got = mlp.state();
  for (const auto& [name, tensor] : got) {
    CHECK(tensor.dtype() == DType::kF32);
    CHECK(tensor.to_vector<float>() == state.at(name).to_vector<float>());
    CHECK_FALSE(tensor.shares_storage_with(state.at(name)));
  }
}

TEST_CASE("module: initial values depend on the seed only") {
  const auto values = [](uint64_t seed) {
    nn::BasicBlock block(4, 8, {.stride = 2});
    Generator generator(seed);
    block.initialise(generator);
    return block.state().at("conv1.weight").to_vector<float>();
  };
  CHECK(values(3) == values(3));
  CHECK(values(3) != values(4));
}

TEST_CASE("module: freezing stops gradients and holds running statistics") {
  nn::ConvNormAct layer(3, 4, nn::Conv2d::Options{.kernel = 3, .padding = 1}, nn::Act::kRelu);
  Generator generator(1);
  layer.initialise(generator);
  const nn::Variable x(random_tensor({2, 3, 5, 5}, 7, -1, 1, DType::kF32));
  layer.freeze();
  layer.train();
  const auto before = layer.state();
  CHECK_FALSE(layer(x).requires_grad());
  CHECK(layer.state().at("bn.running_mean").to_vector<float>() ==
        before.at("bn.running_mean").to_vector<float>());
  layer.freeze(false);
  layer.train();
  CHECK(layer(x).requires_grad());
  CHECK(layer.state().at("bn.running_mean").to_vector<float>() !=
        before.at("bn.running_mean").to_vector<float>());
}
