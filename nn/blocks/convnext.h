// The blocks of ConvNeXt (Liu et al. 2022) and ConvNeXt V2 (Woo et al. 2023), under timm's names.
// Grids in and out.
#pragma once

#include "kintsugi/nn/blocks/mlp.h"

namespace kintsugi::nn {

// Which norm a network has: over the channels of grids, of tokens and of pooled features alike.
struct ChannelNorm {
  enum class Kind { kLayer, kRms, kSimple };
  Kind kind = Kind::kLayer;
  double epsilon = 1e-6;
  std::shared_ptr<Module> make(int64_t channels) const;
};

struct ConvNeXtBlockOptions {
  int64_t kernel = 7;
  ChannelNorm norm = {};
  Act act = Act::kGelu;
  bool conv_mlp = false;       // the MLP's weights are those of 1x1 convolutions
  bool response_norm = false;  // V2's, in the MLP
  double layer_scale = 1e-6;   // 0: none; else its initial value
  double drop_path = 0;
};

// x + gamma * mlp(norm(depthwise(x)))
class ConvNeXtBlock : public Module {
 public:
  ConvNeXtBlock(int64_t channels, const ConvNeXtBlockOptions& options);

 protected:
  Variable forward(const Variable& x) override;

 private:
  Conv2d& conv_dw_;
  Module &norm_, &mlp_;
  Variable gamma_;
  DropPath& drop_path_;
};

// norm -> 2x2 convolution of stride 2.
class ConvNeXtDownsample : public Module {
 public:
  ConvNeXtDownsample(int64_t in, int64_t out, const ChannelNorm& norm);

 protected:
  Variable forward(const Variable& x) override;

 private:
  Module& norm_;
  Conv2d& conv_;
};

}  // namespace kintsugi::nn
