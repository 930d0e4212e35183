// Blocks of DenseNet (Huang et al. 2017), under timm's names. Input and output are grids.
#pragma once

#include "kintsugi/nn/layers/layers.h"

namespace kintsugi::nn {

// The input with `growth` new channels after it: norm, relu, 1x1 to 4 * growth, norm, relu, 3x3.
class DenseLayer : public Module {
 public:
  DenseLayer(int64_t in, int64_t growth);

 protected:
  Variable forward(const Variable& x) override;

 private:
  Sequential& branch_;
};

// Norm, relu, 1x1 to half the channels, and a mean over 2x2.
std::shared_ptr<Module> dense_transition(int64_t in);

}  // namespace kintsugi::nn
