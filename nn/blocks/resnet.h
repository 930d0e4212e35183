// Residual blocks of ResNet, ResNeXt and RegNet (He et al. 2016; Xie et al. 2017; Radosavovic et al.
// 2020), under timm's names. Input and output are grids.
#pragma once

#include "kintsugi/nn/layers/layers.h"

namespace kintsugi::nn {

// conv-bn-act, under timm's ConvNormAct names: "conv", "bn".
class ConvNormAct : public Module {
 public:
  ConvNormAct(int64_t in, int64_t out, const Conv2d::Options& options, Act act,
              double bn_weight = 1);

 protected:
  Variable forward(const Variable& x) override;

 private:
  Conv2d& conv_;
  BatchNorm2d& bn_;
  Activation& act_;
};

// Two 3x3 convolutions; out = channels.
class BasicBlock : public Module {
 public:
  BasicBlock(int64_t in, int64_t channels, int64_t stride, double drop_path = 0);

 protected:
  Variable forward(const Variable& x) override;

 private:
  Conv2d &conv1_, &conv2_;
  BatchNorm2d &bn1_, &bn2_;
  Activation& act_;
  DropPath& drop_path_;
  Module& downsample_;
};

// 1x1, 3x3 (groups, stride), 1x1; out = 4 * channels. The inner width is
// floor(channels * base_width / 64) * groups (ResNeXt, Wide ResNet).
class Bottleneck : public Module {
 public:
  static constexpr int64_t kExpansion = 4;
  Bottleneck(int64_t in, int64_t channels, int64_t stride, int64_t groups = 1,
             int64_t base_width = 64, double drop_path = 0);

 protected:
  Variable forward(const Variable& x) override;

 private:
  Conv2d &conv1_, &conv2_, &conv3_;
  BatchNorm2d &bn1_, &bn2_, &bn3_;
  Activation& act_;
  DropPath& drop_path_;
  Module& downsample_;
};

// RegNet's X block, and its Y block where se_channels > 0.
class RegNetBlock : public Module {
 public:
  RegNetBlock(int64_t in, int64_t out, int64_t stride, int64_t group_width, int64_t se_channels,
              double drop_path = 0);

 protected:
  Variable forward(const Variable& x) override;

 private:
  ConvNormAct &conv1_, &conv2_;
  Module& se_;
  ConvNormAct& conv3_;
  DropPath& drop_path_;
  Module& downsample_;
  Activation& act3_;
};

}  // namespace kintsugi::nn
