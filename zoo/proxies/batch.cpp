#include "kintsugi/zoo/proxies/batch.h"

#include "kintsugi/zoo/dissect.h"

namespace kintsugi::zoo {

ProxyBatch proxy_batch(std::shared_ptr<const Dataset> data, std::vector<int64_t> indices,
                       const Shape& input, const Preprocessing& preprocessing) {
  const Loader loader(data, loader_options(input, preprocessing, int64_t(indices.size())));
  const Batch batch = loader.batch_of(indices);
  return {normalise(batch, preprocessing.mean, preprocessing.std), labels_of(batch),
          std::move(data), std::move(indices)};
}

}  // namespace kintsugi::zoo
