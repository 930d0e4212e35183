// The MetaFormer block with its mixers (Yu et al. 2022, "MetaFormer Is Actually What You Need for
// Vision"; Yu et al. 2022, "MetaFormer Baselines for Vision"), under timm's names. Grids in and
// out.
#pragma once

#include "kintsugi/nn/layers/layers.h"

namespace kintsugi::nn {

enum class Mixer { kIdentity, kRandom, kPooling, kSepConv, kAttention };
enum class MetaNorm { kGroupNorm1, kGroupNorm1NoBias, kLayerNormNoBias };

struct MetaBlockOptions {
  Mixer mixer = Mixer::kSepConv;
  MetaNorm norm = MetaNorm::kLayerNormNoBias;
  Act act = Act::kStarRelu;
  bool mlp_bias = false;
  double mlp_ratio = 4;
  double layer_scale = 0;  // 0: none; else its initial value
  bool res_scale = false;  // a learnt scale of the shortcut, from 1
  int64_t kernel = 7;      // of the separable convolution
  int64_t head_width = 32;
  int64_t tokens = 0;  // H*W: the random mixer's matrix has a fixed size
  double drop_path = 0;
};

std::shared_ptr<Module> make_meta_norm(MetaNorm norm, int64_t channels);

// x = res_scale1 * x + layer_scale1 * mixer(norm1(x)), then the same with norm2 and the MLP.
class MetaFormerBlock : public Module {
 public:
  MetaFormerBlock(int64_t channels, const MetaBlockOptions& options);

 protected:
  Variable forward(const Variable& x) override;

 private:
  Variable branch(const Variable& x, Module& norm, Module& mixer, Module& layer_scale,
                  Module& res_scale, Module& drop_path);
  Module &norm1_, &mixer_, &layer_scale1_, &res_scale1_, &drop_path1_;
  Module &norm2_, &mlp_, &layer_scale2_, &res_scale2_, &drop_path2_;
};

// [norm ->] convolution, timm's Stem and Downsampling without (poolformer) or with their norm
// before or after.
class MetaDownsample : public Module {
 public:
  enum class NormPlace { kNone, kBefore, kAfter };
  MetaDownsample(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t padding,
                 NormPlace place, MetaNorm norm);

 protected:
  Variable forward(const Variable& x) override;

 private:
  NormPlace place_;
  Module& norm_;
  Conv2d& conv_;
};

}  // namespace kintsugi::nn
