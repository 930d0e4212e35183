// Heads: from the last feature to logits (N,classes).
#pragma once

#include "kintsugi/nn/layers/layers.h"

namespace kintsugi::nn {

// pool -> [norm] -> classifier: ResNet's, RegNet's, and that of a reassembled network (whose form
// the reference shares: global average pooling, then a linear layer). Grids, or tokens (mean of
// all).
class PoolHead : public Module {
 public:
  struct Options {
    std::string classifier = "fc";  // its name
    bool norm = false;              // a layer norm, "norm", after pooling
    double norm_epsilon = 1e-6;
    bool conv = false;  // the classifier is a 1x1 convolution
  };
  PoolHead(int64_t channels, int64_t classes, const Options& options);

 protected:
  Variable forward(const Variable& x) override;

 private:
  Module& norm_;
  Module& fc_;
};

}  // namespace kintsugi::nn
