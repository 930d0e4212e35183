#include "kintsugi/zoo/homes.h"

#include "kintsugi/engine/ops/layout.h"
#include "kintsugi/zoo/proxies/batch.h"

namespace kintsugi::zoo {

Tensor feature_rows(const Tensor& feature, const nn::FeatureShape& shape) {
  Tensor tokens;
  if (shape.is_grid()) {
    tokens = ops::grid_to_tokens(feature);
  } else {
    tokens = ops::slice(feature, 1, feature.size(1) - shape.h * shape.w, feature.size(1));
  }
  return tokens.contiguous().view({tokens.size(0) * tokens.size(1), shape.c});
}

Homes::Homes(const PlanFile& plan, std::shared_ptr<const Dataset> data)
    : plan_(plan), data_(std::move(data)) {}

Tensor Homes::input_rows(size_t index, std::span<const int64_t> images) {
  const PlanFile::Block& block = plan_.blocks.at(index);
  auto home = networks_.find(block.weights.string());
  if (home == networks_.end()) {
    LoadedNetwork loaded = load_network(block.architecture, block.weights, {.channels = plan_.input[0]});
    loaded.network->train(false);
    home = networks_.emplace(block.weights.string(), std::move(loaded)).first;
  }
  nn::Network& network = *home->second.network;
  const ProxyBatch batch = proxy_batch(data_, {images.begin(), images.end()}, network.input(),
                                       home->second.card.preprocessing);
  autograd::NoGrad no_grad;
  const nn::Variable feature =
      network.run((*network.stem())(nn::Variable(batch.images)), 0, block.first - 1);
  return feature_rows(feature.value(), network.feature_at(block.first - 1));
}

}  // namespace kintsugi::zoo
