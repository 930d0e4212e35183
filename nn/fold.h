// Inference with fewer passes over memory: convolutions do what comes right after them.
#pragma once

#include <cstdint>

#include "kintsugi/nn/network.h"

namespace kintsugi::nn {

struct Folded {
  int64_t norms = 0, relus = 0;
};

// Gives every Conv2d the batch norm that alone reads its result, then the ReLU that alone reads
// that: y = s (w * x + b - mean) + bias, s = weight / sqrt(var + epsilon), is one convolution with
// weight s w and bias s (b - mean) + bias, computed in f64. Results change by rounding; the network
// is for inference from then on: the norms' tensors are gone from its state, the convolutions have
// a bias, ObserveActivations does not see the ReLUs. Convolutions that transform their weight, or
// that run twice, are left alone.
Folded fold_into_convolutions(Network& network);

}  // namespace kintsugi::nn
