// Blocks of MobileNetV2, V3 and EfficientNet (Sandler et al. 2018; Howard et al. 2019; Tan and Le
// 2019, 2021), under timm's names. Input and output are grids.
#pragma once

#include "kintsugi/nn/layers/layers.h"

namespace kintsugi::nn {

enum class MobileKind {
  kSeparable,  // depthwise, squeeze-and-excitation, pointwise
  kInverted,   // pointwise to `inner` channels, depthwise, squeeze-and-excitation, pointwise
  kEdge,  // a full convolution to `inner` channels ("fused"), squeeze-and-excitation, pointwise
  kConv,  // one convolution with norm and activation
};

// The norm after each convolution: batch norm, or group norm over `group_size` channels each, or
// layer norm over all channels of a pixel.
struct MobileNorm {
  enum class Kind { kBatch, kGroup, kLayer } kind = Kind::kBatch;
  double epsilon = 1e-5;
  int64_t group_size = 8;

  std::shared_ptr<Module> make(int64_t channels) const;
};

struct MobileBlockOptions {
  int64_t kernel = 3, stride = 1;
  int64_t inner = 0;            // of kInverted and kEdge
  int64_t group_size = 1;       // channels in a group of the "depthwise" convolution
  int64_t se_channels = 0;      // 0: no squeeze-and-excitation
  bool global_context = false;  // in place of squeeze-and-excitation
  Act act = Act::kRelu6;
  Act gate = Act::kSigmoid;
  Act se_act = Act::kRelu;
  bool same = false;  // TensorFlow's padding
  bool blur = false;  // anti-aliased: what strides is a blur
  // The separable block first moves 2x2 pixels into channels, by a convolution; its depthwise
  // kernel halves with the grid.
  bool space_to_depth = false;
  MobileNorm norm = {};
  bool shortcut = true;  // where shapes agree
  bool act_last = false;  // the separable block ends with its activation, as MobileNetV1's
  double drop_path = 0;
};

std::shared_ptr<Module> mobile_block(MobileKind kind, int64_t in, int64_t out,
                                     const MobileBlockOptions& options);

}  // namespace kintsugi::nn
