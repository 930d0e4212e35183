// Inference without batch norms: in evaluation mode each is an affine map of channels, which a
// convolution before it takes in.
#pragma once

#include <cstdint>

#include "kintsugi/nn/network.h"

namespace kintsugi::nn {

// Folds every batch norm that alone reads the result of a Conv2d: y = s (w * x + b - mean) + bias,
// s = weight / sqrt(var + epsilon), becomes one convolution with weight s w and bias
// s (b - mean) + bias, computed in f64. Returns how many. Results change by rounding; the network is
// for inference from then on: the norms' tensors are gone from its state, the convolutions have a
// bias. Convolutions that transform their weight, or that run twice, are left alone.
int64_t fold_batch_norms(Network& network);

}  // namespace kintsugi::nn
