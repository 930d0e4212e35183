// Heads: from the last feature to logits (N,classes), or to the features that a classifier would see.
#pragma once

#include "kintsugi/nn/layers/layers.h"

namespace kintsugi::nn {

// The last layer: linear, or a 1x1 convolution of the vector; nothing where `classes` is 0.
std::shared_ptr<Module> make_classifier(int64_t in, int64_t classes, bool conv = false);

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
