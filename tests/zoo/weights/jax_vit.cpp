#include "kintsugi/zoo/weights/jax_vit.h"

#include <doctest/doctest.h>

#include "kintsugi/zoo/catalog.h"
#include "tests/support/compare.h"

using namespace kintsugi;
using namespace kintsugi::test;

namespace {

// One block of width 6 with 2 heads of 3, patches of 2x2 over 3 channels, 5 classes.
nn::State jax(const std::string& attention, const std::string& norm2, const std::string& mlp) {
  nn::State state;
  uint64_t seed = 1;
  const auto add = [&](const std::string& name, const Shape& shape) {
    state[name] = random_tensor(shape, seed++, -1, 1, DType::kF32);
  };
  add("embedding/kernel", {2, 2, 3, 6});
  add("embedding/bias", {6});
  add("cls", {1, 1, 6});
  add("head/kernel", {6, 5});
  add("head/bias", {5});
  add("Transformer/encoder_norm/scale", {6});
  add("Transformer/encoder_norm/bias", {6});
  const std::string block = "Transformer/encoderblock_0/";
  for (const std::string norm : {"LayerNorm_0", norm2.c_str()}) {
    add(block + norm + "/scale", {6});
    add(block + norm + "/bias", {6});
  }
  for (const char* part : {"query", "key", "value"}) {
    add(block + attention + part + "/kernel", {6, 2, 3});
    add(block + attention + part + "/bias", {2, 3});
  }
  add(block + attention + "out/kernel", {2, 3, 6});
  add(block + attention + "out/bias", {6});
  add(block + mlp + "/Dense_0/kernel", {6, 24});
  add(block + mlp + "/Dense_0/bias", {24});
  add(block + mlp + "/Dense_1/kernel", {24, 6});
  add(block + mlp + "/Dense_1/bias", {6});
  return state;
}

void check(const nn::State& from, const nn::State& to, const std::string& attention) {
  const auto at = [](const Tensor& tensor, const std::vector<int64_t>& index) {
    Tensor element = tensor;
    for (const int64_t i : index) element = element.slice(0, i, i + 1).squeeze(0);
    return element.item();
  };
  CHECK(at(to.at("patch_embed.proj.weight"), {4, 2, 0, 1}) ==
        at(from.at("embedding/kernel"), {0, 1, 2, 4}));
  CHECK(at(to.at("head.weight"), {3, 5}) == at(from.at("head/kernel"), {5, 3}));
  const std::string block = "Transformer/encoderblock_0/" + attention;
  const Tensor& qkv = to.at("blocks.0.attn.qkv.weight");
  CHECK(qkv.shape() == Shape{18, 6});
  const char* parts[] = {"query", "key", "value"};
  for (int64_t part = 0; part < 3; ++part) {
    for (int64_t head = 0; head < 2; ++head) {
      for (int64_t d = 0; d < 3; ++d) {
        CHECK(at(qkv, {part * 6 + head * 3 + d, 4}) ==
              at(from.at(block + parts[part] + "/kernel"), {4, head, d}));
        CHECK(at(to.at("blocks.0.attn.qkv.bias"), {part * 6 + head * 3 + d}) ==
              at(from.at(block + parts[part] + "/bias"), {head, d}));
      }
    }
  }
  CHECK(at(to.at("blocks.0.attn.proj.weight"), {2, 4}) ==
        at(from.at(block + "out/kernel"), {1, 1, 2}));
  CHECK(to.at("blocks.0.mlp.fc1.weight").shape() == Shape{24, 6});
  CHECK(to.at("blocks.0.mlp.fc2.weight").shape() == Shape{6, 24});
}

}  // namespace

TEST_CASE("jax vit: AugReg's names become timm's") {
  nn::State from = jax("MultiHeadDotProductAttention_1/", "LayerNorm_2", "MlpBlock_3");
  from["Transformer/posembed_input/pos_embedding"] = Tensor::zeros({1, 5, 6});
  from["pre_logits/kernel"] = Tensor::zeros({6, 6});
  from["pre_logits/bias"] = Tensor::zeros({6});
  nn::State to = from;
  CHECK(zoo::is_jax_vit(to));
  CHECK(zoo::jax_vit_to_timm(to));
  CHECK_FALSE(zoo::is_jax_vit(to));
  CHECK(to.size() == 20);
  check(from, to, "MultiHeadDotProductAttention_1/");
  CHECK(to.at("pos_embed").shape() == Shape{1, 5, 6});
}

TEST_CASE("jax vit: big_vision's numbering, a training state's prefix, stacked blocks") {
  const nn::State from = jax("MultiHeadDotProductAttention_0/", "LayerNorm_1", "MlpBlock_0");
  nn::State to;
  for (const auto& [name, tensor] : from) to["params/" + name] = tensor;
  to["opt/0/count"] = Tensor::zeros({1});
  zoo::jax_vit_to_timm(to);
  CHECK(to.size() == 19);
  check(from, to, "MultiHeadDotProductAttention_0/");

  nn::State stacked;
  for (const auto& [name, tensor] : from) {
    const std::string block = "Transformer/encoderblock_0/";
    const bool inside = name.starts_with(block);
    stacked[inside ? "Transformer/encoderblock/" + name.substr(block.size()) : name] =
        inside ? tensor.unsqueeze(0) : tensor;
  }
  zoo::jax_vit_to_timm(stacked);
  CHECK(stacked.size() == 19);
  check(from, stacked, "MultiHeadDotProductAttention_0/");
}

// By hand: torch.nn.functional.interpolate(mode="bilinear") of [[0,1],[2,3]] to 3x3, as timm's loader
// of these arrays resamples; its loader of a state dict would take a cubic.
TEST_CASE("jax vit: position embeddings of another grid are resampled bilinearly") {
  const zoo::Variant& variant = zoo::find_variant("vit_tiny_patch16_224");
  nn::State state;
  state["embedding/kernel"] = Tensor::zeros({16, 16, 3, 192});
  state["Transformer/posembed_input/pos_embedding"] =
      Tensor::from<float>({1, 5, 1}, {0, 1, 2, 3, 4}).expand({1, 5, 192}).contiguous();
  const std::string naming = variant.rename(state);
  CHECK(naming == "google-research/vision_transformer");
  variant.resample(state, {.input = {3, 48, 48}, .naming = naming});
  const Tensor& grid = state.at("pos_embed");
  REQUIRE(grid.shape() == Shape{1, 10, 192});
  const double want[] = {0, 1, 1.5, 2, 2, 2.5, 3, 3, 3.5, 4};
  for (int64_t i = 0; i < 10; ++i) {
    CHECK(grid.slice(1, i, i + 1).slice(2, 7, 8).view({1}).item() == doctest::Approx(want[i]));
  }
}
