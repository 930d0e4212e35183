// Pre-activation residual blocks (He et al. 2016, "Identity Mappings"; BiT, Kolesnikov et al.
// 2020), under timm's names. Input and output are grids.
#pragma once

#include "kintsugi/nn/blocks/norm_act.h"

namespace kintsugi::nn {

struct PreActOptions {
  int64_t stride = 1;
  bool standardised = false;  // kernels, as in BiT
  bool avg_down = false;      // the shortcut pools before its convolution
  Norm norm = Norm::kBatch;
  double drop_path = 0;
};

// Plain, or with kernels standardised as BiT does (epsilon 1e-8).
std::shared_ptr<Module> make_conv(int64_t in, int64_t out, const Conv2d::Options& options,
                                  bool standardised);

// Two 3x3 convolutions.
class PreActBasic : public Module {
 public:
  PreActBasic(int64_t in, int64_t out, const PreActOptions& options);

 protected:
  Variable forward(const Variable& x) override;

 private:
  NormAct& norm1_;
  Module& conv1_;
  NormAct& norm2_;
  Module& conv2_;
  DropPath& drop_path_;
  std::shared_ptr<Module> downsample_;  // of the normalised input; none: the input itself is added
};

// 1x1 to a quarter of `out`, 3x3 with the stride, 1x1.
class PreActBottleneck : public Module {
 public:
  PreActBottleneck(int64_t in, int64_t out, const PreActOptions& options);

 protected:
  Variable forward(const Variable& x) override;

 private:
  NormAct& norm1_;
  Module& conv1_;
  NormAct& norm2_;
  Module& conv2_;
  NormAct& norm3_;
  Module& conv3_;
  DropPath& drop_path_;
  std::shared_ptr<Module> downsample_;
};

}  // namespace kintsugi::nn
