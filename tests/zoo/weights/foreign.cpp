// Checkpoints that other programs wrote: the values that went in come out. make_fixtures.py wrote
// data/.
#include "kintsugi/nn/layers/layers.h"
#include "kintsugi/zoo/weights/checkpoint.h"
#include "kintsugi/zoo/weights/folded_norms.h"
#include "tests/zoo/weights/files.h"

using namespace kintsugi;
using namespace kintsugi::test;

namespace {

std::filesystem::path fixture(const std::string& name) {
  return std::filesystem::path(KINTSUGI_SOURCE_DIR) / "tests/zoo/weights/data" / name;
}

using Values = std::vector<float>;

Values counted(int count) {
  Values values;
  for (int i = 0; i < count; ++i) values.push_back(float(i));
  return values;
}

void check_torch(const std::map<std::string, Tensor>& tensors) {
  const auto is = [&](const std::string& name, const Shape& shape, const Values& values) {
    CAPTURE(name);
    REQUIRE(tensors.contains(name));
    CHECK(tensors.at(name).shape() == shape);
    CHECK(tensors.at(name).to_vector<float>() == values);
  };
  is("a.weight", {4, 6}, counted(24));
  is("a.view", {2, 3}, {6, 8, 10, 12, 14, 16});
  is("a.transposed", {6, 4},
     {0, 6, 12, 18, 1, 7, 13, 19, 2, 8, 14, 20, 3, 9, 15, 21, 4, 10, 16, 22, 5, 11, 17, 23});
  is("b.f16", {3}, {0.5, -1, 65504});
  is("b.bf16", {3}, {0.5, -1, 3});
  is("b.f64", {3}, {0, 1, 2});
  is("b.i8", {2}, {-1, 2});
  is("b.i64", {}, {7});
  is("b.u16", {1}, {65535});
  is("b.bool", {2}, {1, 0});
  is("c.parameter", {2, 3}, {1, 1, 1, 1, 1, 1});
  is("c.expanded", {3}, {1, 1, 1});
  is("c.channels_last", {1, 2, 2, 4}, counted(16));
  is("c.empty", {0, 3}, {});
  CHECK(tensors.size() == 14);  // without num_batches_tracked and what the optimizer has
  CHECK(tensors.at("a.weight").shares_storage_with(tensors.at("a.transposed")));
  CHECK(tensors.at("b.f64").dtype() == DType::kF64);
  CHECK(tensors.at("b.f16").dtype() == DType::kF32);
}

}  // namespace

TEST_CASE("torch: both formats, views, shared storages, wrappings, all protocols") {
  for (const char* name : {"plain_2.zip.pth", "wrapped_2.zip.pth", "wrapped_5.zip.pth",
                           "plain_2.legacy.pth", "wrapped_1.legacy.pth", "wrapped_4.legacy.pth"}) {
    CAPTURE(name);
    check_torch(zoo::read_weights(fixture(name)).tensors);
  }
  const auto halves =
      zoo::read_weights(fixture("plain_2.zip.pth"), {.widen_halves = false}).tensors;
  CHECK(halves.at("b.bf16").dtype() == DType::kBF16);
}

TEST_CASE("torch: the name of the file says nothing") {
  const Scratch scratch;
  const auto path = put(scratch / "x.safetensors", get(fixture("wrapped_5.zip.pth")));
  check_torch(zoo::read_weights(path).tensors);
}

TEST_CASE("npz: stored and packed, Fortran order and halves") {
  for (const char* name : {"stored.npz", "packed.npz"}) {
    CAPTURE(name);
    auto tensors = zoo::read_weights(fixture(name)).tensors;
    CHECK(tensors.at("head/kernel").to_vector<float>() == counted(6));
    CHECK(tensors.at("head/kernel").shape() == Shape{2, 3});
    CHECK(tensors.at("fortran").to_vector<float>() == counted(6));
    CHECK(tensors.at("fortran").dtype() == DType::kF64);
    CHECK(tensors.at("half").to_vector<float>() == Values{0.5, -1});
    tensors.erase("zeros");
    CHECK(tensors.size() == 3);
  }
}

TEST_CASE("onnx: names come back through the graph, values are the module's") {
  const auto want = zoo::read_weights(fixture("block.pth")).tensors;
  const auto got = zoo::read_weights(fixture("block.onnx")).tensors;
  for (const auto& [name, tensor] : want) {
    CAPTURE(name);
    if (name.starts_with("bn.")) {
      CHECK_FALSE(got.contains(name));  // folded
      continue;
    }
    REQUIRE(got.contains(name));
    CHECK(got.at(name).shape() == tensor.shape());
    if (name.starts_with("stem.")) continue;
    CHECK(got.at(name).to_vector<float>() == tensor.to_vector<float>());
  }
  CHECK(got.size() == want.size() - 4 + 1);  // and the bias that the norm became
  CHECK(got.at("stem.bias").to_vector<float>() == Values(4, -0.5));
}

TEST_CASE("onnx: a folded norm becomes the identity, and its shift the norm's") {
  nn::Sequential network;
  nn::Conv2d::Options three;
  three.kernel = 3;
  network.add<nn::Conv2d>("stem", 3, 4, three);
  network.add<nn::BatchNorm2d>("bn", 4);
  auto state = zoo::read_weights(fixture("block.onnx")).tensors;
  std::erase_if(state, [](const auto& entry) { return !entry.first.starts_with("stem"); });
  const Tensor kernel = state.at("stem.weight");
  zoo::unfold_norms(state, network);
  network.load_state(state);  // strict
  network.train(false);
  CHECK(state.at("bn.bias").to_vector<float>() == Values(4, -0.5));
  autograd::NoGrad no_grad;
  // An impulse shows the kernel's last element of each output; the norm must not change a bit of
  // it.
  Tensor image = Tensor::zeros({1, 3, 3, 3});
  image.slice(1, 2, 3).slice(2, 2, 3).slice(3, 2, 3).fill(1);
  const auto out = network(autograd::Variable(image)).value().to_vector<float>();
  const auto last = kernel.slice(1, 2, 3).slice(2, 2, 3).slice(3, 2, 3).to_vector<float>();
  for (size_t c = 0; c < 4; ++c) CHECK(out[c] == last[c] - 0.5f);
}
