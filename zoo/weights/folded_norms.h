// Exporters fold a batch norm into the convolution before it: its scale goes into the kernel, its
// shift becomes a bias, and the norm itself is gone.
#pragma once

#include "kintsugi/nn/module.h"

namespace kintsugi::zoo {

// Gives such norms back to the state of a network that has them: the batch norms of which nothing
// is there are paired, in order, with the convolutions that bring a bias that the network does not
// have. Each becomes the identity, exactly, plus that bias.
void unfold_norms(nn::State& state, const nn::Module& network);

}  // namespace kintsugi::zoo
