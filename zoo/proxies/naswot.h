// NASWOT of a real network (Mellor et al. 2021; DeRy's proxy): log |det K| / n over a batch of n
// images, K summed over all activations. Evaluation mode, so that equal networks score equally.
#pragma once

#include "kintsugi/nn/network.h"

namespace kintsugi::zoo {

// images (N,C,H,W), N >= 2. -infinity where two images have equal codes.
double naswot(nn::Network& network, const Tensor& images);

}  // namespace kintsugi::zoo
