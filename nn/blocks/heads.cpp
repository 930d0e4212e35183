#include "kintsugi/nn/blocks/heads.h"

#include "kintsugi/autograd/ops/layout.h"
#include "kintsugi/autograd/ops/pool.h"
#include "kintsugi/autograd/ops/reduce.h"

namespace kintsugi::nn {

PoolHead::PoolHead(int64_t channels, int64_t classes, const Options& options)
    : norm_(adopt("norm", options.norm ? std::shared_ptr<Module>(std::make_shared<LayerNorm>(
                                             channels, options.norm_epsilon))
                                       : std::make_shared<Identity>())),
      fc_(child<Linear>(options.classifier, channels, classes)) {}

Variable PoolHead::forward(const Variable& x) {
  if (x.rank() == 3) return fc_(norm_(autograd::mean(x, {1})));
  const Variable y = autograd::adaptive_avg_pool2d(x, 1, 1);
  return fc_(norm_(autograd::reshape(y, {x.size(0), x.size(1)})));
}

}  // namespace kintsugi::nn
