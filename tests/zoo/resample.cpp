// What depends on the size of images, resampled: numbers from timm 1.0.29 (resample_abs_pos_embed,
// resize_rel_pos_bias_table) for the formula's values.
#include "kintsugi/zoo/catalog.h"
#include "tests/support/compare.h"
#include "tests/support/formula.h"

using namespace kintsugi;

namespace {

struct Golden {
  Shape shape;
  std::vector<int64_t> at;
  std::vector<double> values;
  double sum_of_magnitudes;
};

void check(const Tensor& got, const Golden& want) {
  REQUIRE(got.shape() == want.shape);
  const auto values = got.to_vector<double>();
  for (size_t i = 0; i < want.at.size(); ++i) {
    CHECK(std::abs(values[size_t(want.at[i])] - want.values[i]) < 1e-5);
  }
  double sum = 0;
  for (const double value : values) sum += std::abs(value);
  CHECK(std::abs(sum - want.sum_of_magnitudes) < 1e-4 * want.sum_of_magnitudes);
}

}  // namespace

TEST_CASE("resample: position embeddings") {
  const zoo::Variant& vit = zoo::find_variant("vit_tiny_patch16_224");
  const auto resampled = [&](int64_t h, int64_t w) {
    nn::State state{{"pos_embed", test::formula_images({1, 197, 2})}};
    vit.resample(state, {.input = {3, h, w}});
    return state.at("pos_embed");
  };
  const std::vector<int64_t> at{0, 1, 2, 3, 4, 5, 101, 150};
  check(resampled(384, 384),
        {{1, 577, 2},
         at,
         {-0.9774937629699707, -0.8043633699417114, 0.4209522008895874, -0.7155916690826416,
          0.07128144800662994, -0.18370188772678375, 0.1181320995092392, -1.0221880674362183},
         456.527602576185});
  check(resampled(160, 160),
        {{1, 101, 2},
         at,
         {-0.9774937629699707, -0.8043633699417114, -0.13721002638339996, -0.07888233661651611,
          -0.1834045797586441, 0.09286732226610184, -0.41027286648750305, 0.04671043902635574},
         55.89466649037786});
  check(resampled(160, 384),
        {{1, 241, 2},
         at,
         {-0.9774937629699707, -0.8043633699417114, 0.17169903218746185, -0.5807986259460449,
          -0.1491670310497284, -0.05669434368610382, -0.4319147765636444, 0.8891934752464294},
         160.76588124892442});
  CHECK(resampled(224, 224).shape() == Shape{1, 197, 2});
}

TEST_CASE("resample: tables of relative positions") {
  const std::vector<int64_t> at{0, 1, 2, 3, 40, 51, 100, 120};
  const auto resampled = [&](const char* name, const std::string& block, int64_t size) {
    const std::string key = block + ".attn.relative_position_bias_table";
    nn::State state{{key, test::formula_images({169, 2})}};
    zoo::find_variant(name).resample(state, {.input = {3, size, size}});
    return state.at(key);
  };
  check(resampled("swin_base_patch4_window12_384", "layers.0.blocks.0", 384),
        {{529, 2},
         at,
         {-0.9774751663208008, -0.804358184337616, -0.5413804054260254, -0.7323861122131348,
          0.6799235939979553, -0.4545012414455414, -0.09032855927944183, 0.06702324748039246},
         369.0745247370214});
  // At 160 pixels the last stage's grid is 5x5, and so its window.
  check(resampled("swin_tiny_patch4_window7_224", "layers.3.blocks.1", 160),
        {{81, 2},
         at,
         {-0.5720762014389038, -0.4260233938694, -0.8044883012771606, -0.05747227743268013,
          0.5803861618041992, 0.20961961150169373, -0.7086778879165649, 0.6754103899002075},
         77.08487753896043});
  CHECK(resampled("swin_tiny_patch4_window7_224", "layers.0.blocks.0", 160).shape() ==
        Shape{169, 2});
}

TEST_CASE("rename: authors' names become timm's") {
  const auto renamed = [](const char* name, nn::State state) {
    const std::string whose = zoo::find_variant(name).rename(state);
    std::string list = whose + ":";
    for (const auto& [key, tensor] : state) list += " " + key + " " + tensor.shape().str();
    return list;
  };
  const Tensor square = Tensor::zeros({4, 4}), row = Tensor::zeros({4});
  CHECK(renamed("deit3_small_patch16_224", {{"blocks.3.gamma_2", row}, {"head.bias", row}}) ==
        "facebookresearch/deit: blocks.3.ls2.gamma (4) head.bias (4)");
  CHECK(renamed("swin_tiny_patch4_window7_224", {{"layers.0.downsample.norm.bias", row},
                                                 {"layers.1.blocks.1.attn_mask", row},
                                                 {"head.weight", square}}) ==
        "microsoft/Swin-Transformer: head.fc.weight (4,4) layers.1.downsample.norm.bias (4)");
  CHECK(renamed("convnextv2_atto", {{"downsample_layers.0.0.weight", row},
                                    {"downsample_layers.2.1.bias", row},
                                    {"stages.2.5.pwconv1.weight", square},
                                    {"stages.2.5.grn.beta", Tensor::zeros({1, 1, 1, 4})},
                                    {"norm.bias", row}}) ==
        "facebookresearch/ConvNeXt: head.norm.bias (4) stages.2.blocks.5.mlp.fc1.weight (4,4,1,1) "
        "stages.2.blocks.5.mlp.grn.bias (4) stages.2.downsample.1.bias (4) stem.0.weight (4)");
  CHECK(renamed("caformer_s18", {{"downsample_layers.0.conv.weight", row},
                                 {"downsample_layers.0.post_norm.weight", row},
                                 {"stages.1.2.token_mixer.pwconv1.weight", square},
                                 {"stages.3.2.token_mixer.qkv.weight", square},
                                 {"stages.3.2.mlp.fc1.weight", square},
                                 {"head.fc1.weight", square}}) ==
        "sail-sg: head.fc.fc1.weight (4,4) stages.1.blocks.2.token_mixer.pwconv1.weight (4,4,1,1) "
        "stages.3.blocks.2.mlp.fc1.weight (4,4) stages.3.blocks.2.token_mixer.qkv.weight (4,4) "
        "stem.conv.weight (4) stem.norm.weight (4)");
  CHECK(renamed("poolformer_s12", {{"network.0.0.mlp.fc1.weight", Tensor::zeros({4, 4, 1, 1})},
                                   {"network.4.1.layer_scale_2", row},
                                   {"network.3.proj.bias", row},
                                   {"patch_embed.proj.weight", row}}) ==
        "sail-sg: stages.0.blocks.0.mlp.fc1.weight (4,4,1,1) "
        "stages.2.blocks.1.layer_scale2.scale (4) stages.2.downsample.conv.bias (4) "
        "stem.conv.weight (4)");
  CHECK(renamed("caformer_s18", {{"stem.conv.weight", row}}) == ": stem.conv.weight (4)");
}
