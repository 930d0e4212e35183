// Residual blocks of ResNet and its descendants (He et al. 2016; Xie et al. 2017; Hu et al. 2018;
// He et al. 2019), under timm's names. Input and output are grids.
#pragma once

#include "kintsugi/nn/blocks/norm_act.h"

namespace kintsugi::nn {

// The shortcut of a block whose output has another shape than its input.
enum class Shortcut {
  kConv,    // 1x1 convolution with the block's stride, norm
  kConv3,   // the same with 3x3 where it strides (SENet-154)
  kAvg,     // 2x2 average pooling, 1x1 convolution, norm ("ResNet-D")
  kPadded,  // every other pixel, zeros for the new channels, half on either side: He's option A
};
// What halves the grid behind the 3x3 convolution instead of its stride.
enum class AntiAlias { kNone, kAvg, kBlur };
enum class ChannelAttention { kNone, kSe, kEca };

struct ResidualOptions {
  int64_t stride = 1;
  int64_t groups = 1, base_width = 64;  // of Bottleneck's 3x3 convolution
  int64_t reduce_first = 1;             // divides the first convolution's width
  Shortcut shortcut = Shortcut::kConv;
  AntiAlias anti_alias = AntiAlias::kNone;
  ChannelAttention attention = ChannelAttention::kNone;
  double se_ratio = 1.0 / 16;
  Norm norm = Norm::kBatch;
  double drop_path = 0;
};

// ResNet-D's 2x2 average pooling with stride 2; the windows at an odd edge average what is there.
std::shared_ptr<Module> make_shortcut_pool();
// The identity for kNone.
std::shared_ptr<Module> make_anti_alias(AntiAlias kind);

// Two 3x3 convolutions; out = channels.
class BasicBlock : public Module {
 public:
  static constexpr int64_t kExpansion = 1;
  BasicBlock(int64_t in, int64_t channels, const ResidualOptions& options);

 protected:
  Variable forward(const Variable& x) override;

 private:
  Conv2d &conv1_, &conv2_;
  Module &bn1_, &bn2_;
  Module &aa_, &se_;
  Activation &act1_, &act2_;
  DropPath& drop_path_;
  Module& downsample_;
};

// 1x1, 3x3 (groups, stride), 1x1; out = 4 * channels. The inner width is
// floor(channels * base_width / 64) * groups (ResNeXt, Wide ResNet).
class Bottleneck : public Module {
 public:
  static constexpr int64_t kExpansion = 4;
  Bottleneck(int64_t in, int64_t channels, const ResidualOptions& options);

 protected:
  Variable forward(const Variable& x) override;

 private:
  Bottleneck(int64_t in, int64_t out, int64_t width, const ResidualOptions& options);
  Conv2d &conv1_, &conv2_, &conv3_;
  Module &bn1_, &bn2_, &bn3_;
  Module &aa_, &se_;
  Activation &act1_, &act2_, &act3_;
  DropPath& drop_path_;
  Module& downsample_;
};

}  // namespace kintsugi::nn
