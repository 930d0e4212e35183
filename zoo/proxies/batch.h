// The images that a proxy sees: the same number of every class, chosen by a seed.
#pragma once

#include <memory>
#include <vector>

#include "kintsugi/engine/core/tensor.h"
#include "kintsugi/zoo/card.h"
#include "kintsugi/zoo/datasets/dataset.h"

namespace kintsugi::zoo {

struct ProxyBatch {
  Tensor images;  // (N,C,H,W), normalised for the network
  Tensor labels;  // (N) i64
  // Where they come from, so that another network can be shown the same images its own way.
  std::shared_ptr<const Dataset> data;
  std::vector<int64_t> indices;
};

ProxyBatch proxy_batch(std::shared_ptr<const Dataset> data, std::vector<int64_t> indices,
                       const Shape& input, const Preprocessing& preprocessing);

}  // namespace kintsugi::zoo
