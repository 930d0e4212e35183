// MLP-Mixer: https://arxiv.org/abs/2105.01601. ResMLP: https://arxiv.org/abs/2105.03404. gMLP:
// https://arxiv.org/abs/2105.08050.
#include "kintsugi/nn/blocks/heads.h"
#include "kintsugi/nn/blocks/mixer.h"

#include "kintsugi/autograd/ops/layout.h"
#include "kintsugi/autograd/ops/reduce.h"
#include "kintsugi/zoo/families/families.h"

namespace kintsugi::zoo::families {

namespace {

using Form = nn::MixerBlockOptions::Form;

struct Description {
  int64_t patch, depth, width;
  nn::MixerBlockOptions block = {};
};

class Stem : public nn::Module {
 public:
  Stem(int64_t in, int64_t patch, int64_t width)
      : proj_(child<nn::Conv2d>(
            "proj", in, width,
            nn::Conv2d::Options{.kernel = patch,
                                .stride = patch,
                                .bias = true,
                                .init = nn::init::uniform_fan_in(in * patch * patch)})) {}

 protected:
  nn::Variable forward(const nn::Variable& x) override {
    return autograd::grid_to_tokens(proj_(x));
  }

 private:
  nn::Conv2d& proj_;
};

// norm -> mean of the tokens -> classifier
class Head : public nn::Module {
 public:
  Head(int64_t width, int64_t classes, Form form)
      : norm_(adopt("norm", nn::make_mixer_norm(width, form))),
        head_(adopt("head", nn::make_classifier(width, classes))) {}

 protected:
  nn::Variable forward(const nn::Variable& x) override {
    return head_(autograd::mean(norm_(x), {1}));
  }

 private:
  nn::Module& norm_;
  nn::Module& head_;
};

std::shared_ptr<nn::Network> build(const Variant& variant, const BuildOptions& options,
                                   const Description& d) {
  const int64_t h = options.input[1] / d.patch, w = options.input[2] / d.patch;
  if (h < 1 || w < 1) {
    fail(ErrorKind::kShape, "mixer: got input ", options.input, ", smaller than a patch of ",
         d.patch);
  }
  auto network = std::make_shared<nn::Network>(variant.name, options.input, options.classes);
  network->first_conv = "stem.proj.weight";
  network->classifier = "head";
  const nn::FeatureShape tokens = nn::FeatureShape::tokens(d.width, h, w, 0);
  network->set_stem("stem", std::make_shared<Stem>(options.input[0], d.patch, d.width), &tokens);
  nn::MixerBlockOptions block = d.block;
  block.drop_path = options.drop_path;  // the same in every block, as in timm
  for (int64_t i = 0; i < d.depth; ++i) {
    network->add_block("blocks." + std::to_string(i), nn::make_mixer_block(d.width, h * w, block));
  }
  network->set_head("", std::make_shared<Head>(d.width, options.classes, d.block.form));
  return network;
}

Variant variant(const std::string& name, const Description& d, const Preprocessing& preprocessing) {
  Variant v{.name = name, .family = "mixer", .preprocessing = preprocessing};
  v.build = [d](const Variant& self, const BuildOptions& options) {
    return build(self, options, d);
  };
  return v;
}

}  // namespace

std::vector<Variant> mixer() {
  const Preprocessing half = half_preprocessing(0.875), imagenet = imagenet_preprocessing();
  const nn::MixerBlockOptions swiglu{.form = Form::kSwiGlu, .token_ratio = 1};
  const nn::MixerBlockOptions gated{.form = Form::kGatedMlp, .mlp_ratio = 6};
  const auto res = [](double scale) {
    return nn::MixerBlockOptions{.form = Form::kResMlp, .layer_scale = scale};
  };
  return {
      variant("mixer_s32_224", {32, 8, 512}, half),
      variant("mixer_s16_224", {16, 8, 512}, half),
      variant("mixer_b32_224", {32, 12, 768}, half),
      variant("mixer_b16_224", {16, 12, 768}, half),
      variant("mixer_l32_224", {32, 24, 1024}, half),
      variant("mixer_l16_224", {16, 24, 1024}, half),
      variant("gmixer_12_224", {16, 12, 384, swiglu}, imagenet),
      variant("gmixer_24_224", {16, 24, 384, swiglu}, imagenet),
      variant("resmlp_12_224", {16, 12, 384, res(1e-4)}, imagenet),
      variant("resmlp_24_224", {16, 24, 384, res(1e-5)}, imagenet),
      variant("resmlp_36_224", {16, 36, 384, res(1e-6)}, imagenet),
      variant("resmlp_big_24_224", {8, 24, 768, res(1e-6)}, imagenet),
      variant("gmlp_ti16_224", {16, 30, 128, gated}, half),
      variant("gmlp_s16_224", {16, 30, 256, gated}, half),
      variant("gmlp_b16_224", {16, 30, 512, gated}, half),
  };
}

}  // namespace kintsugi::zoo::families
