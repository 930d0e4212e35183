// Vision Transformers. ViT https://arxiv.org/abs/2010.11929 and its training as DeiT
// https://arxiv.org/abs/2012.12877, DeiT III https://arxiv.org/abs/2204.07118, FlexiViT
// https://arxiv.org/abs/2212.08013, CLIP https://arxiv.org/abs/2103.00020, SigLIP
// https://arxiv.org/abs/2303.15343, DINOv2 https://arxiv.org/abs/2304.07193 with registers
// https://arxiv.org/abs/2309.16588, EVA, BEiT-3 https://arxiv.org/abs/2208.10442, AIMv2
// https://arxiv.org/abs/2411.14402, ViT-22B's block https://arxiv.org/abs/2302.05442.
#include <cmath>

#include "kintsugi/autograd/ops/elementwise.h"
#include "kintsugi/autograd/ops/layout.h"
#include "kintsugi/autograd/ops/reduce.h"
#include "kintsugi/nn/blocks/heads.h"
#include "kintsugi/nn/blocks/vit.h"
#include "kintsugi/zoo/families/families.h"
#include "kintsugi/zoo/resample.h"
#include "kintsugi/zoo/weights/jax_vit.h"

namespace kintsugi::zoo::families {

namespace {

using nn::Act;
using Form = nn::VitBlockOptions::Form;

struct Size {
  int64_t width, depth, heads;
  double mlp_ratio = 4;
};
constexpr Size kTiny{192, 12, 3}, kSmall{384, 12, 6}, kMedium{512, 12, 8}, kMediumDeep{512, 20, 8},
    kBetwixt{640, 12, 10}, kBase{768, 12, 12}, kPlus{896, 12, 14}, kLarge{1024, 24, 16},
    kHuge{1280, 32, 16}, kGiant{1408, 40, 16, 48.0 / 11}, kGigantic{1664, 48, 16, 64.0 / 13};

struct Description {
  enum class Pool { kClassToken, kMean, kAttention };
  int64_t patch;
  Size size;
  nn::VitBlockOptions block = {};
  bool class_token = true, distillation_token = false;
  int64_t register_tokens = 0;
  bool place_prefix = true;   // the prefix tokens have position embeddings too
  bool norm_before = false;   // a norm before the first block, and no bias under it (CLIP)
  bool norm_patches = false;  // a norm of the patches, before their positions (AIMv2)
  bool norm_tokens = true;    // the last norm, before pooling
  bool norm_pooled = false;   // ... or after it
  Pool pool = Pool::kClassToken;
  bool pool_prefix = false;  // the attention pool sees the prefix tokens

  Description(const Size& s, int64_t patch_size) : patch(patch_size), size(s) {
    block.attention.heads = s.heads;
    block.mlp_ratio = s.mlp_ratio;
  }
  int64_t prefix_tokens() const {
    return int64_t(class_token) + int64_t(distillation_token) + register_tokens;
  }

  // What the variants say of themselves.
  template <class F>
  Description with(F change) const {
    Description d = *this;
    change(d);
    return d;
  }
  Description gap() const {
    return with([](auto& d) { d.class_token = false, d.pool = Pool::kMean; });
  }
  Description mean_then_norm() const {
    return with([](auto& d) { d.pool = Pool::kMean, d.norm_tokens = false, d.norm_pooled = true; });
  }
  Description gap_then_norm() const { return gap().mean_then_norm(); }
  Description map() const {
    return with([](auto& d) { d.class_token = false, d.pool = Pool::kAttention; });
  }
  Description pools_all() const {
    return with([](auto& d) { d.pool_prefix = true; });
  }
  Description registers(int64_t count) const {
    return with([&](auto& d) { d.register_tokens = count; });
  }
  Description places_grid_only() const {
    return with([](auto& d) { d.place_prefix = false; });
  }
  Description reg_gap(int64_t count) const {
    return gap_then_norm().registers(count).places_grid_only();
  }
  Description distilled() const {
    return with([](auto& d) { d.distillation_token = true; });
  }
  Description scaled(double value) const {
    return with([&](auto& d) { d.block.layer_scale = value; });
  }
  Description act(Act a) const {
    return with([&](auto& d) { d.block.act = a; });
  }
  Description form(Form f) const {
    return with([&](auto& d) { d.block.form = f; });
  }
  Description without_qkv_bias() const {
    return with([](auto& d) { d.block.attention.qkv_bias = false; });
  }
  Description without_final_norm() const {
    return with([](auto& d) { d.norm_tokens = false; });
  }
  Description rms() const {
    return with([](auto& d) { d.block.attention.norm.rms = true; });
  }
  Description differential() const {
    return with([](auto& d) { d.block.differential = true; });
  }
  Description packed_swiglu() const {
    return with([](auto& d) { d.block.mlp = nn::VitBlockOptions::MlpForm::kPackedSwiGlu; });
  }
  Description clip() const {
    return with([](auto& d) { d.norm_before = true, d.block.attention.norm.epsilon = 1e-5; });
  }
  Description beit3() const {
    return mean_then_norm().with([](auto& d) {
      d.block.attention.scale_norm = d.block.mlp_norm = true;
      d.block.attention.norm.epsilon = 1e-5;
    });
  }
  Description aim() const {
    return gap().without_qkv_bias().with([](auto& d) {
      d.norm_patches = true;
      d.block.attention.proj_bias = false;
      d.block.attention.norm = {1e-5, true};
      d.block.mlp = nn::VitBlockOptions::MlpForm::kSwiGlu;
    });
  }
  // ViT-22B's block, with norms of queries and keys.
  Description xp() const {
    return rms().without_qkv_bias().form(Form::kParallel).places_grid_only().with([](auto& d) {
      d.norm_before = d.block.attention.qk_norm = true;
    });
  }
};

std::shared_ptr<nn::Module> norm_or_none(bool on, const Description& d) {
  if (!on) return std::make_shared<nn::Identity>();
  return d.block.attention.norm.make(d.size.width);
}

// Patch embedding, prefix tokens in front, position embedding. A last row or column of pixels that
// is no whole patch is not seen, as in timm.
class Stem : public nn::Module {
 public:
  Stem(const Shape& input, const Description& d)
      : proj_((check(input, d.patch),
               child<nn::Conv2d>("patch_embed.proj", input[0], d.size.width,
                                 nn::Conv2d::Options{.kernel = d.patch,
                                                     .stride = d.patch,
                                                     .bias = !d.norm_before,
                                                     .init = nn::init::uniform_fan_in(
                                                         input[0] * d.patch * d.patch)}))),
        patch_norm_(adopt("patch_embed.norm", norm_or_none(d.norm_patches, d))),
        norm_pre_(adopt("norm_pre", norm_or_none(d.norm_before, d))),
        place_prefix_(d.place_prefix) {
    const int64_t width = d.size.width;
    const auto token = [&](const char* name, int64_t count, double std) {
      if (count > 0) prefix_.push_back(parameter(name, {1, count, width}, nn::init::normal(std)));
    };
    token("cls_token", d.class_token, 1e-6);
    token("dist_token", d.distillation_token, 0.02);
    token("reg_token", d.register_tokens, 1e-6);
    grid_tokens_ = (input[1] / d.patch) * (input[2] / d.patch);
    pos_embed_ =
        parameter("pos_embed", {1, grid_tokens_ + (place_prefix_ ? d.prefix_tokens() : 0), width},
                  nn::init::trunc_normal());
  }

 protected:
  nn::Variable forward(const nn::Variable& images) override {
    using namespace autograd;
    nn::Variable x = patch_norm_(grid_to_tokens(proj_(images)));
    if (x.size(1) != grid_tokens_) {
      fail(ErrorKind::kShape, "vit: images ", images.shape(), " give ", x.size(1),
           " patches, expected ", grid_tokens_);
    }
    if (!place_prefix_) x = add(x, pos_embed_);
    std::vector<nn::Variable> parts;
    for (const auto& token : prefix_) {
      parts.push_back(expand(token, {x.size(0), token.size(1), token.size(2)}));
    }
    parts.push_back(x);
    if (parts.size() > 1) x = concat(parts, 1);
    return norm_pre_(place_prefix_ ? add(x, pos_embed_) : x);
  }

 private:
  static void check(const Shape& input, int64_t patch) {
    if (input[1] < patch || input[2] < patch) {
      fail(ErrorKind::kShape, "vit: got input ", input, ", smaller than a patch of ", patch);
    }
  }
  nn::Conv2d& proj_;
  nn::Module &patch_norm_, &norm_pre_;
  std::vector<nn::Variable> prefix_;
  nn::Variable pos_embed_;
  int64_t grid_tokens_ = 0;
  bool place_prefix_;
};

// norm -> pool -> classifier, or no classifier where `classes` is 0. Tokens without prefix, as a
// stitch gives them, are averaged in place of the class token; the count of tokens tells.
class Head : public nn::Module {
 public:
  Head(const Description& d, int64_t classes, int64_t grid_tokens)
      : grid_tokens_(grid_tokens),
        prefix_(d.prefix_tokens()),
        pool_(d.pool),
        pool_prefix_(d.pool_prefix),
        norm_(adopt("norm", norm_or_none(d.norm_tokens, d))),
        fc_norm_(adopt("fc_norm", norm_or_none(d.norm_pooled, d))),
        head_(adopt("head", nn::make_classifier(d.size.width, classes))) {
    if (pool_ == Description::Pool::kAttention) {
      attention_ = &child<nn::AttentionPool>("attn_pool", d.size.width, d.block.attention,
                                             d.size.mlp_ratio, d.block.act);
    }
    if (d.distillation_token) {
      head_dist_ = &adopt("head_dist", nn::make_classifier(d.size.width, classes));
    }
  }

 protected:
  nn::Variable forward(const nn::Variable& x) override {
    using namespace autograd;
    const nn::Variable y = norm_(x);
    const bool bare = x.size(1) == grid_tokens_;
    const auto token = [&](int64_t i) {
      if (bare) return mean(y, {1});
      return reshape(slice(y, 1, i, i + 1), {y.size(0), y.size(2)});
    };
    const nn::Variable grid =
        bare || pool_prefix_ ? y : slice(y, 1, prefix_, prefix_ + grid_tokens_);
    if (pool_ == Description::Pool::kAttention) return head_(fc_norm_((*attention_)(grid)));
    if (pool_ == Description::Pool::kMean) return head_(fc_norm_(mean(grid, {1})));
    const nn::Variable logits = head_(fc_norm_(token(0)));
    if (!head_dist_) return logits;
    return affine(add(logits, (*head_dist_)(token(1))), 0.5, 0);
  }

 private:
  int64_t grid_tokens_, prefix_;
  Description::Pool pool_;
  bool pool_prefix_;
  nn::Module &norm_, &fc_norm_;
  nn::AttentionPool* attention_ = nullptr;
  nn::Module& head_;
  nn::Module* head_dist_ = nullptr;
};

std::shared_ptr<nn::Network> build(const Variant& variant, const BuildOptions& options,
                                   const Description& d) {
  auto network = std::make_shared<nn::Network>(variant.name, options.input, options.classes);
  network->first_conv = "patch_embed.proj.weight";
  network->classifier = "head";
  const int64_t h = options.input[1] / d.patch, w = options.input[2] / d.patch;
  const nn::FeatureShape tokens = nn::FeatureShape::tokens(d.size.width, h, w, d.prefix_tokens());
  network->set_stem("", std::make_shared<Stem>(options.input, d), &tokens);
  nn::VitBlockOptions block = d.block;
  for (int64_t i = 0; i < d.size.depth; ++i) {
    block.depth = i;
    block.drop_path = drop_path_at(options.drop_path, i, d.size.depth);
    network->add_block("blocks." + std::to_string(i), nn::make_vit_block(d.size.width, block));
  }
  network->set_head("", std::make_shared<Head>(d, options.classes, h * w));
  return network;
}

constexpr const char* kGoogle = "google-research/vision_transformer";

// The authors of DeiT III call layer scale "gamma_1"; timm has it in a module, "ls1.gamma".
std::string rename(nn::State& state) {
  if (jax_vit_to_timm(state)) return kGoogle;
  nn::State renamed;
  bool found = false;
  for (auto& [name, tensor] : state) {
    const size_t at = name.find(".gamma_");
    const bool theirs = name.starts_with("blocks.") && at != std::string::npos;
    found = found || theirs;
    renamed[theirs ? name.substr(0, at) + ".ls" + name.substr(at + 7) + ".gamma" : name] = tensor;
  }
  state = std::move(renamed);
  return found ? "facebookresearch/deit" : "";
}

// Position embeddings of another grid, which is taken to be square, as timm's
// resample_abs_pos_embed does: the prefix is kept, the grid resized (timm's loader of Google's
// arrays asks for bilinear).
void resample(nn::State& state, const BuildOptions& options, const Description& d) {
  const auto found = state.find("pos_embed");
  if (found == state.end() || found->second.rank() != 3) return;
  const Tensor& old = found->second;
  const int64_t prefix = d.place_prefix ? d.prefix_tokens() : 0, width = old.size(2);
  const int64_t h = options.input[1] / d.patch, w = options.input[2] / d.patch;
  const int64_t side = std::llround(std::floor(std::sqrt(double(old.size(1) - prefix))));
  if (side < 1 || side * side + prefix != old.size(1))
    return;  // the strict load says what is wrong
  if (side == h && side == w) return;
  const Tensor grid = old.slice(1, prefix, old.size(1)).to(DType::kF32).contiguous();
  const Resampling kernel =
      options.naming == kGoogle ? Resampling::kBilinear : Resampling::kBicubicAntialias;
  const Tensor resized = resize(grid.view({side, side, width}).permute({2, 0, 1}), h, w,
                                kernel);  // (width,h,w)
  Tensor fresh = Tensor::empty({1, prefix + h * w, width});
  if (prefix > 0) fresh.slice(1, 0, prefix).copy_from(old.slice(1, 0, prefix).to(DType::kF32));
  fresh.slice(1, prefix, prefix + h * w)
      .copy_from(resized.permute({1, 2, 0}).contiguous().view({1, h * w, width}));
  found->second = fresh;
}

Preprocessing half(double crop) {
  return half_preprocessing(crop);
}
Preprocessing imagenet(double crop) {
  return imagenet_preprocessing(crop);
}
Preprocessing clip(double crop) {
  return clip_preprocessing(crop);
}
Preprocessing raw(double crop, const char* interpolation = "bicubic") {
  return {{0, 0, 0}, {1, 1, 1}, interpolation, crop};
}

Variant variant(const std::string& name, const Description& d, int64_t size,
                const Preprocessing& preprocessing, int64_t classes) {
  Variant v{.name = name,
            .family = "vit",
            .input = {3, size, size},
            .classes = classes,
            .preprocessing = preprocessing};
  v.build = [d](const Variant& self, const BuildOptions& options) {
    return build(self, options, d);
  };
  v.rename = rename;
  v.resample = [d](nn::State& state, const BuildOptions& options) { resample(state, options, d); };
  return v;
}

}  // namespace

std::vector<Variant> vit() {
  std::vector<Variant> list;
  const auto named = [&](const char* name, const Description& d, int64_t size,
                         const Preprocessing& preprocessing, int64_t classes = 1000) {
    list.push_back(variant(name, d, size, preprocessing, classes));
  };
  // The same at several sizes, which end the name.
  const auto add = [&](const std::string& stem, const Description& d, std::vector<int64_t> sizes,
                       const Preprocessing& preprocessing, int64_t classes = 1000) {
    for (const int64_t size : sizes) {
      named((stem + "_" + std::to_string(size)).c_str(), d, size, preprocessing, classes);
    }
  };
  add("vit_base_patch8", Description(kBase, 8), {224}, half(0.9));
  add("vit_base_patch16", Description(kBase, 16), {224}, half(0.9));
  named("vit_base_patch16_224_miil", Description(kBase, 16).without_qkv_bias(), 224,
        raw(0.875, "bilinear"), 11221);
  add("vit_base_patch16", Description(kBase, 16), {384}, half(1));
  add("vit_base_patch16_plus", Description(kPlus, 16).scaled(1e-5), {240}, half(0.95));
  add("vit_base_patch32", Description(kBase, 32), {224}, half(0.9));
  add("vit_base_patch32", Description(kBase, 32), {384}, half(1));
  add("vit_base_patch32_plus", Description(kPlus, 32).scaled(1e-5), {256}, half(0.95));
  add("vit_giant_patch14", Description(kGiant, 14), {224}, half(0.9));
  add("vit_gigantic_patch14", Description(kGigantic, 14), {224}, half(0.9));
  add("vit_huge_patch14", Description(kHuge, 14), {224}, half(0.9), 0);
  add("vit_intern300m_patch14", Description(kLarge, 14).scaled(0.1).without_final_norm(), {448},
      imagenet(1), 0);
  add("vit_large_patch14", Description(kLarge, 14), {224}, half(0.9));
  add("vit_large_patch16", Description(kLarge, 16), {224}, half(0.9));
  add("vit_large_patch16", Description(kLarge, 16), {384}, half(1));
  add("vit_large_patch32", Description(kLarge, 32), {224}, half(0.9), 0);
  add("vit_large_patch32", Description(kLarge, 32), {384}, half(1));
  add("vit_small_patch8", Description(kSmall, 8), {224}, imagenet(0.9), 0);
  add("vit_small_patch16", Description(kSmall, 16), {224}, half(0.9));
  add("vit_small_patch16", Description(kSmall, 16), {384}, half(1));
  add("vit_small_patch32", Description(kSmall, 32), {224}, half(0.9));
  add("vit_small_patch32", Description(kSmall, 32), {384}, half(1));
  add("vit_tiny_patch16", Description(kTiny, 16), {224}, half(0.9));
  add("vit_tiny_patch16", Description(kTiny, 16), {384}, half(1));
  add("vit_base_patch16_siglip", Description(kBase, 16).map(), {224, 256, 384, 512}, half(0.9), 0);
  add("vit_base_patch16_siglip_gap", Description(kBase, 16).gap(), {224, 256, 384, 512}, half(0.9),
      0);
  add("vit_base_patch32_siglip", Description(kBase, 32).map().act(Act::kGeluTanh), {256}, half(0.9),
      0);
  add("vit_base_patch32_siglip_gap", Description(kBase, 32).gap().act(Act::kGeluTanh), {256},
      half(0.9), 0);
  add("vit_giantopt_patch16_siglip", Description({1536, 40, 16}, 16).map().act(Act::kGeluTanh),
      {256, 384}, half(0.9), 0);
  add("vit_giantopt_patch16_siglip_gap", Description({1536, 40, 16}, 16).gap().act(Act::kGeluTanh),
      {256, 384}, half(0.9), 0);
  add("vit_large_patch16_siglip", Description(kLarge, 16).map(), {256, 384}, half(0.9), 0);
  add("vit_large_patch16_siglip", Description(kLarge, 16).map().act(Act::kGeluTanh), {512},
      half(0.9), 0);
  add("vit_large_patch16_siglip_gap", Description(kLarge, 16).gap(), {256, 384}, half(0.9), 0);
  add("vit_large_patch16_siglip_gap", Description(kLarge, 16).gap().act(Act::kGeluTanh), {512},
      half(0.9), 0);
  add("vit_so400m_patch14_siglip", Description({1152, 27, 16, 3.7362}, 14).map(), {224, 378, 384},
      half(0.9), 0);
  add("vit_so400m_patch14_siglip_gap", Description({1152, 27, 16, 3.7362}, 14).gap(), {224, 378},
      half(0.9), 0);
  add("vit_so400m_patch14_siglip_gap", Description({1152, 27, 16, 3.7362}, 14).gap(),
      {384, 448, 896}, half(1), 0);
  add("vit_so400m_patch16_siglip",
      Description({1152, 27, 16, 3.7362}, 16).map().act(Act::kGeluTanh), {256, 384, 512}, half(0.9),
      0);
  add("vit_so400m_patch16_siglip_gap",
      Description({1152, 27, 16, 3.7362}, 16).gap().act(Act::kGeluTanh), {256, 384, 512}, half(0.9),
      0);
  add("vit_base_patch16_clip", Description(kBase, 16).clip(), {224}, clip(0.95));
  add("vit_base_patch16_clip", Description(kBase, 16).clip(), {384}, clip(1));
  add("vit_base_patch16_clip_quickgelu", Description(kBase, 16).clip().act(Act::kQuickGelu), {224},
      clip(1), 512);
  add("vit_base_patch16_plus_clip", Description(kPlus, 16).clip(), {240}, clip(1), 640);
  add("vit_base_patch32_clip", Description(kBase, 32).clip(), {224}, clip(0.9));
  add("vit_base_patch32_clip", Description(kBase, 32).clip(), {256}, clip(1), 512);
  add("vit_base_patch32_clip", Description(kBase, 32).clip(), {384, 448}, clip(1));
  add("vit_base_patch32_clip_quickgelu", Description(kBase, 32).clip().act(Act::kQuickGelu), {224},
      clip(0.9), 512);
  add("vit_betwixt_patch32_clip", Description(kBetwixt, 32).clip(), {224}, clip(0.9), 512);
  add("vit_giant_patch14_clip", Description(kGiant, 14).clip(), {224}, clip(1), 1024);
  add("vit_gigantic_patch14_clip", Description(kGigantic, 14).clip(), {224, 378}, clip(1), 1280);
  add("vit_gigantic_patch14_clip_quickgelu", Description(kGigantic, 14).clip().act(Act::kQuickGelu),
      {224}, clip(1), 1280);
  add("vit_huge_patch14_clip", Description(kHuge, 14).clip(), {224, 336}, clip(1));
  add("vit_huge_patch14_clip", Description(kHuge, 14).clip(), {378}, clip(1), 1024);
  add("vit_huge_patch14_clip_quickgelu", Description(kHuge, 14).clip().act(Act::kQuickGelu),
      {224, 378}, clip(1), 1024);
  add("vit_large_patch14_clip", Description(kLarge, 14).clip(), {224, 336}, half(1));
  add("vit_large_patch14_clip_quickgelu", Description(kLarge, 14).clip().act(Act::kQuickGelu),
      {224, 336}, clip(1), 768);
  add("vit_medium_patch16_clip", Description(kMedium, 16).clip(), {224}, clip(0.9), 512);
  add("vit_medium_patch32_clip", Description(kMedium, 32).clip(), {224}, clip(0.9), 512);
  add("vit_xsmall_patch16_clip", Description({256, 10, 4}, 16).clip(), {224}, clip(0.9), 512);
  named("vit_base_patch14_dinov2", Description(kBase, 14).scaled(1e-5), 518, imagenet(1), 0);
  named("vit_base_patch14_reg4_dinov2",
        Description(kBase, 14).registers(4).places_grid_only().scaled(1e-5), 518, imagenet(1), 0);
  named("vit_giant_patch14_dinov2",
        Description({1536, 40, 24, 5.33334}, 14).scaled(1e-5).packed_swiglu(), 518, imagenet(1), 0);
  named("vit_giant_patch14_reg4_dinov2",
        Description({1536, 40, 24, 5.33334}, 14)
            .registers(4)
            .places_grid_only()
            .scaled(1e-5)
            .packed_swiglu(),
        518, imagenet(1), 0);
  named("vit_large_patch14_dinov2", Description(kLarge, 14).scaled(1e-5), 518, imagenet(1), 0);
  named("vit_large_patch14_reg4_dinov2",
        Description(kLarge, 14).registers(4).places_grid_only().scaled(1e-5), 518, imagenet(1), 0);
  named("vit_small_patch14_dinov2", Description(kSmall, 14).scaled(1e-5), 518, imagenet(1), 0);
  named("vit_small_patch14_reg4_dinov2",
        Description(kSmall, 14).registers(4).places_grid_only().scaled(1e-5), 518, imagenet(1), 0);
  named("vit_base_patch14_reg1_tipsv2",
        Description(kBase, 14).registers(1).places_grid_only().scaled(1.0), 448, raw(1), 0);
  named("vit_giant_patch14_reg1_tipsv2",
        Description({1536, 40, 24, 5.33334}, 14)
            .registers(1)
            .places_grid_only()
            .scaled(1.0)
            .packed_swiglu(),
        448, raw(1), 0);
  named("vit_large_patch14_reg1_tipsv2",
        Description(kLarge, 14).registers(1).places_grid_only().scaled(1.0), 448, raw(1), 0);
  named("vit_so400m_patch14_reg1_tipsv2",
        Description({1152, 27, 16, 4304.0 / 1152}, 14).registers(1).places_grid_only().scaled(1.0),
        448, raw(1), 0);
  add("vit_base_patch16_reg4_gap", Description(kBase, 16).reg_gap(4), {256}, half(0.9));
  add("vit_betwixt_patch16_reg1_gap", Description(kBetwixt, 16).reg_gap(1).scaled(1e-5), {256},
      half(0.95));
  add("vit_betwixt_patch16_reg4_gap", Description(kBetwixt, 16).reg_gap(4).scaled(1e-5), {256},
      half(0.95));
  add("vit_betwixt_patch16_reg4_gap", Description(kBetwixt, 16).reg_gap(4).scaled(1e-5), {384},
      half(1));
  add("vit_dlittle_patch16_reg1_gap",
      Description({320, 14, 5, 5.6}, 16).reg_gap(1).scaled(1e-5).differential(), {256}, half(0.95));
  add("vit_dwee_patch16_reg1_gap",
      Description({256, 14, 4, 5}, 16).reg_gap(1).scaled(1e-5).differential(), {256}, half(0.95));
  add("vit_little_patch16_reg1_gap", Description({320, 14, 5, 5.6}, 16).reg_gap(1).scaled(1e-5),
      {256}, half(0.95));
  add("vit_little_patch16_reg4_gap", Description({320, 14, 5, 5.6}, 16).reg_gap(4).scaled(1e-5),
      {256}, half(0.95));
  add("vit_medium_patch16_reg1_gap", Description(kMedium, 16).reg_gap(1).scaled(1e-5), {256},
      half(0.95));
  add("vit_medium_patch16_reg4_gap", Description(kMedium, 16).reg_gap(4).scaled(1e-5), {256},
      half(0.95));
  add("vit_mediumd_patch16_reg4_gap", Description(kMediumDeep, 16).reg_gap(4).scaled(1e-5), {256},
      half(0.95));
  add("vit_mediumd_patch16_reg4_gap", Description(kMediumDeep, 16).reg_gap(4).scaled(1e-5), {384},
      half(1));
  add("vit_pwee_patch16_reg1_gap",
      Description({256, 16, 4, 5}, 16).reg_gap(1).scaled(1e-5).form(Form::kParallel), {256},
      half(0.95));
  add("vit_so150m2_patch16_reg1_gap",
      Description({832, 21, 13, 34.0 / 13}, 16)
          .gap_then_norm()
          .registers(1)
          .scaled(1e-5)
          .without_qkv_bias(),
      {256, 384, 448}, half(1));
  add("vit_so150m_patch16_reg4_gap", Description({896, 18, 14, 2.572}, 16).gap().registers(4),
      {256}, half(0.95));
  add("vit_so150m_patch16_reg4_gap", Description({896, 18, 14, 2.572}, 16).gap().registers(4),
      {384}, half(1));
  add("vit_so150m_patch16_reg4_map", Description({896, 18, 14, 2.572}, 16).map().registers(4),
      {256}, half(0.9));
  add("vit_wee_patch16_reg1_gap", Description({256, 14, 4, 5}, 16).reg_gap(1).scaled(1e-5), {256},
      half(0.95));
  add("vit_base_patch16_gap", Description({768, 12, 16}, 16).gap(), {224}, half(0.9));
  add("vit_betwixt_patch16_gap", Description(kBetwixt, 16).gap().scaled(1e-6).without_qkv_bias(),
      {256}, half(0.95));
  add("vit_giant_patch16_gap", Description(kGiant, 16).gap(), {224}, imagenet(0.9), 0);
  add("vit_huge_patch14_gap", Description(kHuge, 14).gap(), {224}, imagenet(0.9), 0);
  add("vit_huge_patch16_gap", Description(kHuge, 16).gap(), {448}, imagenet(1), 0);
  add("vit_medium_patch16_gap", Description(kMedium, 16).gap().scaled(1e-6).without_qkv_bias(),
      {240}, half(0.95), 11821);
  add("vit_medium_patch16_gap", Description(kMedium, 16).gap().scaled(1e-6).without_qkv_bias(),
      {256, 384}, half(0.95));
  add("vit_base_patch16_xp", Description(kBase, 16).xp(), {224}, half(0.9));
  add("vit_huge_patch14_xp", Description(kHuge, 14).xp(), {224}, half(0.9));
  add("vit_large_patch14_xp", Description(kLarge, 14).xp(), {224}, half(0.9));
  add("vit_base_patch16_18x2", Description({768, 18, 12}, 16).scaled(1e-5).form(Form::kTwoWide),
      {224}, half(0.9));
  add("vit_small_patch16_18x2", Description({384, 18, 6}, 16).scaled(1e-5).form(Form::kTwoWide),
      {224}, half(0.9));
  add("vit_small_patch16_36x1", Description({384, 36, 6}, 16).scaled(1e-5), {224}, half(0.9));
  add("vit_base_patch16_rpn",
      Description(kBase, 16).gap_then_norm().scaled(1e-5).without_qkv_bias().form(Form::kPostNorm),
      {224}, half(0.9));
  add("deit3_base_patch16", Description(kBase, 16).scaled(1e-6).places_grid_only(), {224},
      imagenet(0.9));
  add("deit3_base_patch16", Description(kBase, 16).scaled(1e-6).places_grid_only(), {384},
      imagenet(1));
  add("deit3_huge_patch14", Description(kHuge, 14).scaled(1e-6).places_grid_only(), {224},
      imagenet(0.9));
  add("deit3_large_patch16", Description(kLarge, 16).scaled(1e-6).places_grid_only(), {224},
      imagenet(0.9));
  add("deit3_large_patch16", Description(kLarge, 16).scaled(1e-6).places_grid_only(), {384},
      imagenet(1));
  add("deit3_medium_patch16", Description(kMedium, 16).scaled(1e-6).places_grid_only(), {224},
      imagenet(0.9));
  add("deit3_small_patch16", Description(kSmall, 16).scaled(1e-6).places_grid_only(), {224},
      imagenet(0.9));
  add("deit3_small_patch16", Description(kSmall, 16).scaled(1e-6).places_grid_only(), {384},
      imagenet(1));
  add("deit_base_distilled_patch16", Description(kBase, 16).distilled(), {224}, imagenet(0.9));
  add("deit_base_distilled_patch16", Description(kBase, 16).distilled(), {384}, imagenet(1));
  add("deit_base_patch16", Description(kBase, 16), {224}, imagenet(0.9));
  add("deit_base_patch16", Description(kBase, 16), {384}, imagenet(1));
  add("deit_small_distilled_patch16", Description(kSmall, 16).distilled(), {224}, imagenet(0.9));
  add("deit_small_patch16", Description(kSmall, 16), {224}, imagenet(0.9));
  add("deit_tiny_distilled_patch16", Description(kTiny, 16).distilled(), {224}, imagenet(0.9));
  add("deit_tiny_patch16", Description(kTiny, 16), {224}, imagenet(0.9));
  named("flexivit_base", Description(kBase, 16).places_grid_only(), 240, half(0.95));
  named("flexivit_large", Description(kLarge, 16).places_grid_only(), 240, half(0.95));
  named("flexivit_small", Description(kSmall, 16).places_grid_only(), 240, half(0.95));
  add("eva_large_patch14", Description(kLarge, 14).mean_then_norm(), {196, 336}, clip(1));
  add("beit3_base_patch16", Description(kBase, 16).beit3(), {224}, imagenet(1));
  add("beit3_giant_patch14", Description({1408, 40, 16, 4.3637}, 14).beit3(), {224, 336},
      imagenet(1));
  add("beit3_large_patch16", Description(kLarge, 16).beit3(), {224}, imagenet(1));
  add("aimv2_1b_patch14", Description({2048, 24, 16, 2.75}, 14).aim(), {224, 336, 448}, clip(1), 0);
  add("aimv2_3b_patch14", Description({3072, 24, 24, 2.6667}, 14).aim(), {224, 336, 448}, clip(1),
      0);
  add("aimv2_huge_patch14", Description({1536, 24, 12, 2.6667}, 14).aim(), {224, 336, 448}, clip(1),
      0);
  add("aimv2_large_patch14", Description({1024, 24, 8, 2.75}, 14).aim(), {224, 336, 448}, clip(1),
      0);
  named("test_vit", Description({64, 6, 2, 3}, 16), 160, half(0.95));
  named("test_vit2", Description({64, 8, 2, 3}, 16).gap_then_norm().registers(1).scaled(1e-5), 160,
        half(0.95));
  named("test_vit3", Description({96, 9, 3, 2}, 16).map().pools_all().registers(1).scaled(1e-5),
        160, half(0.95));
  named("test_vit4", Description({96, 9, 3, 3}, 16).gap_then_norm().registers(1).scaled(1e-5).rms(),
        160, half(0.95));
  named("vit_nano_patch4_28", Description({64, 8, 4}, 4), 28, fashion_mnist_preprocessing(), 10);
  list.back().input = {1, 28, 28};
  return list;
}

}  // namespace kintsugi::zoo::families
