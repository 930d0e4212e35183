// RegNet's blocks (Radosavovic et al. 2020; Dollar et al. 2021), under timm's names. Input and
// output are grids.
#pragma once

#include "kintsugi/nn/blocks/norm_act.h"

namespace kintsugi::nn {

struct RegNetOptions {
  int64_t stride = 1;
  int64_t width = 0;        // between the 1x1 convolutions
  int64_t groups = 1;       // of the 3x3 convolution
  int64_t se_channels = 0;  // 0: none, the X block
  enum class Shortcut { kNone, kConv, kAvg } shortcut = Shortcut::kConv;  // where shapes change
  bool linear = false;  // no activation behind the sum (the Z block)
  Act act = Act::kRelu;
  Norm norm = Norm::kBatch;
  double drop_path = 0;
};

// The X block, the Y block where se_channels > 0, and the Z block: wide inside, no shortcut where
// shapes change, linear.
class RegNetBlock : public Module {
 public:
  RegNetBlock(int64_t in, int64_t out, const RegNetOptions& options);

 protected:
  Variable forward(const Variable& x) override;

 private:
  ConvNormAct &conv1_, &conv2_;
  Module& se_;
  ConvNormAct& conv3_;
  DropPath& drop_path_;
  std::shared_ptr<Module> downsample_;  // none: no shortcut
  Activation& act3_;
};

// timm's RegNetV: norms and activations before their convolutions; the shortcut, too, leaves behind
// the first norm.
class PreActRegNetBlock : public Module {
 public:
  PreActRegNetBlock(int64_t in, int64_t out, const RegNetOptions& options);

 protected:
  Variable forward(const Variable& x) override;

 private:
  NormAct& norm1_;
  Conv2d& conv1_;
  NormAct& norm2_;
  Conv2d& conv2_;
  Module& se_;
  NormAct& norm3_;
  Conv2d& conv3_;
  DropPath& drop_path_;
  Module& downsample_;
};

}  // namespace kintsugi::nn
