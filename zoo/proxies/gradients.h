// What the proxies that differentiate have in common. Private to this folder.
#pragma once

#include <functional>

#include "kintsugi/nn/network.h"
#include "kintsugi/zoo/proxies/batch.h"
#include "kintsugi/zoo/proxies/scope.h"

namespace kintsugi::zoo {

// Calls fn for every part of at most 16 images, in order: the tape of a whole batch would fill the
// memory, and in evaluation mode images do not see each other.
void in_parts(const ProxyBatch& batch,
              const std::function<void(const Tensor& images, const Tensor& labels)>& fn);

// The gradient of the mean cross-entropy of the batch, added into whatever wants one.
void backward_of_loss(nn::Network& network, const ProxyBatch& batch);

}  // namespace kintsugi::zoo
