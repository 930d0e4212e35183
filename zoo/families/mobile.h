// What mobilenet.cpp and efficientnet.cpp share: a network of stages of mobile blocks, described by
// a table. The rules of widths and depths are those of Google's TensorFlow code, as timm keeps
// them.
#pragma once

#include <optional>

#include "kintsugi/nn/blocks/mobilenet.h"
#include "kintsugi/zoo/catalog.h"

namespace kintsugi::zoo::families {

struct MobileStage {
  nn::MobileKind kind;
  int64_t repeat, kernel, stride;
  double expand;  // inner channels by input channels
  int64_t channels;
  double se = 0;                    // squeezed channels; of which, MobileDescription::Squeeze says
  std::optional<nn::Act> act = {};  // instead of the network's
  bool joined = false;              // numbered on from the stage before, as timm groups stages
  int64_t expand_from = 0;          // instead of the input channels
  bool shortcut = true;
  bool act_last = false;  // of separable blocks
};

// MobileNetV1's block: an activation after the pointwise convolution too, and no shortcut.
MobileStage plain_stage(int64_t repeat, int64_t kernel, int64_t stride, int64_t channels,
                        double se = 0);


// One 1x1 convolution, whose width V3's paper counts with the trunk. No shortcut where it repeats.
MobileStage conv_stage(int64_t channels);
// EfficientNet-B0's.
std::vector<MobileStage> efficientnet_stages();

struct MobileDescription {
  enum class Squeeze {
    kInput,         // the fraction is of the block's input channels (EfficientNet)
    kInputRounded,  // the same, rounded as widths are (FBNetV3)
    kInner,         // of its inner channels (timm's own MobileNetV3)
    kInnerRounded,  // the same, rounded as widths are (MobileNetV3)
  };

  std::vector<MobileStage> stages;
  int64_t stem = 32;
  int64_t head = 1280;  // 0: no convolution before the classifier
  bool head_after_pool = false;  // V3: pooled before the head's convolution, which has no norm
  bool head_bias = true;         // of that convolution
  nn::Act act = nn::Act::kRelu6;
  nn::Act gate = nn::Act::kSigmoid;
  std::optional<nn::Act> se_act = {};  // instead of the block's
  Squeeze squeeze = Squeeze::kInput;
  double width = 1;
  std::vector<double> depths = {1};  // of the groups of stages; the last goes for all others
  bool round_depths = false;  // each stage's to the nearest; else a group's upwards
  bool fixed_stem = false;    // the stem keeps its width
  bool fixed_ends = false;    // that, and the first and the last stage keep their depth
  int64_t divisor = 8;      // of widths
  double shrink = 0.9;      // a width is never rounded below this fraction of itself
  int64_t group_size = 1;   // channels in a group of "depthwise" convolutions
  bool same = false;        // TensorFlow's padding
  bool blur = false;        // anti-aliased
  bool global_context = false;  // in place of squeeze-and-excitation
  // The first stage moves 2x2 pixels into channels and works on four times its width; the second
  // stage does not stride then, and expands a quarter in its first block.
  bool space_to_depth = false;
  nn::MobileNorm norm = {};
  bool small = false;                 // the stem keeps the resolution
  double torchvision_epsilon = 1e-5;  // of its batch norms
};

// channels * width as Google's code rounds it: to the nearest multiple of `divisor`.
int64_t round_channels(double channels, int64_t divisor = 8, double shrink = 0.9);

// The description as TensorFlow's own networks have it: padding SAME, batch norm's epsilon 1e-3.
MobileDescription tensorflow(MobileDescription description);

// The family of mobile stages: build, and rename for torchvision's names and those of
// github.com/lukemelas/EfficientNet-PyTorch, which ports TensorFlow's networks.
Variant mobile_variant(const std::string& name, const std::string& family,
                       const MobileDescription& description);

}  // namespace kintsugi::zoo::families
