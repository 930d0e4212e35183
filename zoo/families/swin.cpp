// Swin Transformer: https://arxiv.org/abs/2103.14030. Swin-S3: https://arxiv.org/abs/2111.14725.
#include "kintsugi/nn/blocks/heads.h"
#include "kintsugi/nn/blocks/swin.h"

#include <cmath>
#include <regex>

#include "kintsugi/autograd/ops/layout.h"
#include "kintsugi/autograd/ops/pool.h"
#include "kintsugi/zoo/families/families.h"
#include "kintsugi/zoo/resample.h"

namespace kintsugi::zoo::families {

namespace {

constexpr int64_t kPatch = 4;

struct Description {
  int64_t width, heads;  // of the first stage; each next has twice as many
  std::vector<int64_t> depths;
  std::vector<int64_t> windows;
};

class Stem : public nn::Module {
 public:
  Stem(int64_t in, int64_t width)
      : proj_(child<nn::Conv2d>(
            "proj", in, width,
            nn::Conv2d::Options{.kernel = kPatch,
                                .stride = kPatch,
                                .bias = true,
                                .init = nn::init::uniform_fan_in(in * kPatch * kPatch)})),
        norm_(child<nn::LayerNorm>("norm", width, 1e-5)) {}

 protected:
  nn::Variable forward(const nn::Variable& x) override { return norm_(proj_(x)); }

 private:
  nn::Conv2d& proj_;
  nn::LayerNorm& norm_;
};

class Head : public nn::Module {
 public:
  Head(int64_t width, int64_t classes)
      : norm_(child<nn::LayerNorm>("norm", width, 1e-5)),
        fc_(adopt("head.fc", nn::make_classifier(width, classes))) {}

 protected:
  nn::Variable forward(const nn::Variable& x) override {
    const nn::Variable y = autograd::adaptive_avg_pool2d(norm_(x), 1, 1);
    return fc_(autograd::reshape(y, {y.size(0), y.size(1)}));
  }

 private:
  nn::LayerNorm& norm_;
  nn::Module& fc_;
};

// The grid that timm sizes a stage's windows by: halves rounded down, though merging pads and so
// rounds up.
int64_t nominal(int64_t pixels, size_t stage) {
  return std::max<int64_t>(pixels / kPatch >> stage, 1);
}

std::shared_ptr<nn::Network> build(const Variant& variant, const BuildOptions& options,
                                   const Description& d) {
  if (options.input[1] < kPatch || options.input[2] < kPatch) {
    fail(ErrorKind::kShape, "swin: got input ", options.input, ", smaller than a patch of ",
         kPatch);
  }
  auto network = std::make_shared<nn::Network>(variant.name, options.input, options.classes);
  network->first_conv = "patch_embed.proj.weight";
  network->classifier = "head.fc";
  network->set_stem("patch_embed", std::make_shared<Stem>(options.input[0], d.width));
  int64_t total = 0, index = 0;
  for (const int64_t depth : d.depths) total += depth;
  for (size_t s = 0; s < d.depths.size(); ++s) {
    const std::string stage = "layers." + std::to_string(s);
    const int64_t width = d.width << s;
    if (s > 0) {
      network->add_block(stage + ".downsample",
                         std::make_shared<nn::PatchMerging>(width / 2, width));
    }
    const int64_t h = nominal(options.input[1], s), w = nominal(options.input[2], s);
    for (int64_t i = 0; i < d.depths[s]; ++i, ++index) {
      network->add_block(
          stage + ".blocks." + std::to_string(i),
          std::make_shared<nn::SwinBlock>(width, d.heads << s, h, w, d.windows[s], i % 2 == 1,
                                          drop_path_at(options.drop_path, index, total)));
    }
  }
  network->set_head("", std::make_shared<Head>(d.width << (d.depths.size() - 1), options.classes));
  return network;
}

// The authors' (https://github.com/microsoft/Swin-Transformer) down-samplers end a stage where
// timm's begin the next; their tables of indices and masks, and timm's older ones, are not weights.
std::string rename(nn::State& state) {
  static const std::regex kDownsample("^layers\\.(\\d+)\\.downsample\\.");
  const bool theirs = state.contains("head.weight") && !state.contains("head.fc.weight");
  nn::State renamed;
  for (const auto& [name, tensor] : state) {
    if (name.ends_with("relative_position_index") || name.ends_with("attn_mask")) continue;
    std::smatch match;
    std::string to = name;
    if (theirs && std::regex_search(name, match, kDownsample)) {
      to = "layers." + std::to_string(std::stoi(match[1]) + 1) + ".downsample." +
           match.suffix().str();
    } else if (theirs && name.starts_with("head.")) {
      to = "head.fc." + name.substr(5);
    }
    renamed[to] = tensor;
  }
  state = std::move(renamed);
  return theirs ? "microsoft/Swin-Transformer" : "";
}

void resample(nn::State& state, const BuildOptions& options, const Description& d) {
  for (size_t s = 0; s < d.depths.size(); ++s) {
    const int64_t rows = 2 * std::min(nominal(options.input[1], s), d.windows[s]) - 1;
    const int64_t columns = 2 * std::min(nominal(options.input[2], s), d.windows[s]) - 1;
    for (int64_t i = 0; i < d.depths[s]; ++i) {
      const auto found = state.find("layers." + std::to_string(s) + ".blocks." + std::to_string(i) +
                                    ".attn.relative_position_bias_table");
      if (found == state.end() || found->second.rank() != 2) continue;
      found->second = resize_offset_table(found->second, rows, columns);
    }
  }
}

Variant variant(const std::string& name, const Description& d, int64_t size = 224) {
  Variant v{.name = name,
            .family = "swin",
            .input = {3, size, size},
            .preprocessing = imagenet_preprocessing(size == 224 ? 0.9 : 1)};
  v.build = [d](const Variant& self, const BuildOptions& options) {
    return build(self, options, d);
  };
  v.rename = rename;
  v.resample = [d](nn::State& state, const BuildOptions& options) { resample(state, options, d); };
  return v;
}

}  // namespace

std::vector<Variant> swin() {
  const std::vector<int64_t> tiny{2, 2, 6, 2}, deep{2, 2, 18, 2};
  const std::vector<int64_t> seven{7, 7, 7, 7}, twelve{12, 12, 12, 12};
  return {
      variant("swin_tiny_patch4_window7_224", {96, 3, tiny, seven}),
      variant("swin_small_patch4_window7_224", {96, 3, deep, seven}),
      variant("swin_base_patch4_window7_224", {128, 4, deep, seven}),
      variant("swin_base_patch4_window12_384", {128, 4, deep, twelve}, 384),
      variant("swin_large_patch4_window7_224", {192, 6, deep, seven}),
      variant("swin_large_patch4_window12_384", {192, 6, deep, twelve}, 384),
      variant("swin_s3_tiny_224", {96, 3, tiny, {7, 7, 14, 7}}),
      variant("swin_s3_small_224", {96, 3, deep, {14, 14, 14, 7}}),
      variant("swin_s3_base_224", {96, 3, {2, 2, 30, 2}, {7, 7, 14, 7}}),
  };
}

}  // namespace kintsugi::zoo::families
