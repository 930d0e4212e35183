// A convolution whose kernels are normalised to mean 0 and variance 1 before use (weight
// standardisation, Qiao et al. 2019).
#pragma once

#include "kintsugi/nn/layers/layers.h"

namespace kintsugi::nn {

class StandardisedConv2d : public Module {
 public:
  StandardisedConv2d(int64_t in, int64_t out, const Conv2d::Options& options, double epsilon);

 protected:
  Variable forward(const Variable& x) override;

 private:
  ops::Conv2dParams params_;
  double epsilon_;
  Variable weight_;
};

}  // namespace kintsugi::nn
