// Blocks of MobileNetV2 and V3 (Sandler et al. 2018; Howard et al. 2019), under timm's names. Input
// and output are grids.
#pragma once

#include "kintsugi/nn/layers/layers.h"

namespace kintsugi::nn {

struct MobileBlockOptions {
  int64_t kernel = 3, stride = 1;
  int64_t se_channels = 0;  // 0: no squeeze-and-excitation
  Act act = Act::kRelu6;
  Act gate = Act::kSigmoid;
  double drop_path = 0;
};

// Depthwise, then pointwise; a shortcut where shapes agree.
class DepthwiseSeparable : public Module {
 public:
  DepthwiseSeparable(int64_t in, int64_t out, const MobileBlockOptions& options);

 protected:
  Variable forward(const Variable& x) override;

 private:
  Conv2d& conv_dw_;
  BatchNorm2d& bn1_;
  Module& se_;
  Conv2d& conv_pw_;
  BatchNorm2d& bn2_;
  Activation& act_;
  DropPath& drop_path_;
  bool shortcut_;
};

// Pointwise to `expanded` channels, depthwise, pointwise-linear; a shortcut where shapes agree.
class InvertedResidual : public Module {
 public:
  InvertedResidual(int64_t in, int64_t expanded, int64_t out, const MobileBlockOptions& options);

 protected:
  Variable forward(const Variable& x) override;

 private:
  Conv2d& conv_pw_;
  BatchNorm2d& bn1_;
  Conv2d& conv_dw_;
  BatchNorm2d& bn2_;
  Module& se_;
  Conv2d& conv_pwl_;
  BatchNorm2d& bn3_;
  Activation& act_;
  DropPath& drop_path_;
  bool shortcut_;
};

// A plain convolution with norm and activation, "conv" and "bn1".
class ConvBnAct : public Module {
 public:
  ConvBnAct(int64_t in, int64_t out, const MobileBlockOptions& options);

 protected:
  Variable forward(const Variable& x) override;

 private:
  Conv2d& conv_;
  BatchNorm2d& bn1_;
  Activation& act_;
};

}  // namespace kintsugi::nn
