// Vision Transformer: https://arxiv.org/abs/2010.11929.
#include "kintsugi/autograd/ops/conv.h"
#include "kintsugi/autograd/ops/elementwise.h"
#include "kintsugi/autograd/ops/layout.h"
#include "kintsugi/autograd/ops/reduce.h"
#include "kintsugi/nn/blocks/vit.h"
#include "kintsugi/zoo/families/families.h"

namespace kintsugi::zoo::families {

namespace {

struct Description {
  int64_t patch, width, depth, heads;
};

// Patch embedding, class token in front, position embedding.
class Stem : public nn::Module {
 public:
  Stem(const Shape& input, int64_t patch, int64_t width)
      : proj_((check(input, patch),
               child<nn::Conv2d>("patch_embed.proj", input[0], width,
                                 nn::Conv2d::Options{
                                     .kernel = patch,
                                     .stride = patch,
                                     .bias = true,
                                     .init = nn::init::uniform_fan_in(input[0] * patch * patch)}))) {
    cls_token_ = parameter("cls_token", {1, 1, width}, nn::init::normal(1e-6));
    const int64_t tokens = 1 + (input[1] / patch) * (input[2] / patch);
    pos_embed_ = parameter("pos_embed", {1, tokens, width}, nn::init::trunc_normal());
  }

 protected:
  nn::Variable forward(const nn::Variable& images) override {
    using namespace autograd;
    const nn::Variable patches = grid_to_tokens(proj_(images));
    const int64_t n = patches.size(0), width = patches.size(2);
    if (patches.size(1) + 1 != pos_embed_.size(1)) {
      fail(ErrorKind::kShape, "vit: images ", images.shape(), " give ", patches.size(1),
           " patches, expected ", pos_embed_.size(1) - 1);
    }
    return add(concat({expand(cls_token_, {n, 1, width}), patches}, 1), pos_embed_);
  }

 private:
  static void check(const Shape& input, int64_t patch) {
    if (input[1] % patch != 0 || input[2] % patch != 0) {
      fail(ErrorKind::kShape, "vit: input ", input, " does not divide into patches of ", patch);
    }
  }
  nn::Conv2d& proj_;
  nn::Variable cls_token_, pos_embed_;
};

// norm -> class token -> classifier. Tokens without a class token, as a stitch gives them, are
// averaged instead; the count of tokens tells.
class Head : public nn::Module {
 public:
  Head(int64_t width, int64_t classes, int64_t grid_tokens)
      : grid_tokens_(grid_tokens),
        norm_(child<nn::LayerNorm>("norm", width)),
        head_(child<nn::Linear>("head", width, classes)) {}

 protected:
  nn::Variable forward(const nn::Variable& x) override {
    using namespace autograd;
    const nn::Variable y = norm_(x);
    if (x.size(1) == grid_tokens_) return head_(mean(y, {1}));
    return head_(reshape(slice(y, 1, 0, 1), {y.size(0), y.size(2)}));
  }

 private:
  int64_t grid_tokens_;
  nn::LayerNorm& norm_;
  nn::Linear& head_;
};

std::shared_ptr<nn::Network> build(const Variant& variant, const BuildOptions& options,
                                   const Description& d) {
  auto network = std::make_shared<nn::Network>(variant.name, options.input, options.classes);
  network->first_conv = "patch_embed.proj.weight";
  network->classifier = "head";
  const int64_t h = options.input[1] / d.patch, w = options.input[2] / d.patch;
  const nn::FeatureShape tokens = nn::FeatureShape::tokens(d.width, h, w, 1);
  network->set_stem("", std::make_shared<Stem>(options.input, d.patch, d.width), &tokens);
  for (int64_t i = 0; i < d.depth; ++i) {
    network->add_block("blocks." + std::to_string(i),
                       std::make_shared<nn::VitBlock>(d.width, d.heads, 4,
                                                      drop_path_at(options.drop_path, i, d.depth)));
  }
  network->set_head("", std::make_shared<Head>(d.width, options.classes, h * w));
  return network;
}

Variant variant(const std::string& name, const Description& d, int64_t size = 224) {
  Variant v{.name = name, .family = "vit", .input = {3, size, size},
            .preprocessing = half_preprocessing(size == 224 ? 0.9 : 1)};
  v.build = [d](const Variant& self, const BuildOptions& options) { return build(self, options, d); };
  return v;
}

}  // namespace

std::vector<Variant> vit() {
  std::vector<Variant> list = {
      variant("vit_tiny_patch16_224", {16, 192, 12, 3}),
      variant("vit_tiny_patch16_384", {16, 192, 12, 3}, 384),
      variant("vit_small_patch32_224", {32, 384, 12, 6}),
      variant("vit_small_patch16_224", {16, 384, 12, 6}),
      variant("vit_small_patch16_384", {16, 384, 12, 6}, 384),
      variant("vit_small_patch8_224", {8, 384, 12, 6}),
      variant("vit_base_patch32_224", {32, 768, 12, 12}),
      variant("vit_base_patch16_224", {16, 768, 12, 12}),
      variant("vit_base_patch16_384", {16, 768, 12, 12}, 384),
      variant("vit_base_patch8_224", {8, 768, 12, 12}),
      variant("vit_large_patch16_224", {16, 1024, 24, 16}),
      variant("vit_large_patch16_384", {16, 1024, 24, 16}, 384),
  };
  Variant nano = variant("vit_nano_patch4_28", {4, 64, 8, 4}, 28);
  nano.input = {1, 28, 28};
  nano.classes = 10;
  nano.preprocessing = fashion_mnist_preprocessing();
  list.push_back(std::move(nano));
  return list;
}

}  // namespace kintsugi::zoo::families
