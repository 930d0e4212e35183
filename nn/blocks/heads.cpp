#include "kintsugi/nn/blocks/heads.h"

#include "kintsugi/autograd/ops/layout.h"
#include "kintsugi/autograd/ops/pool.h"
#include "kintsugi/autograd/ops/reduce.h"

namespace kintsugi::nn {

namespace {

// A 1x1 convolution's weight, for features (N,C).
class PointwiseClassifier : public Module {
 public:
  PointwiseClassifier(int64_t in, int64_t out)
      : conv_(child<Conv2d>("", in, out,
                            Conv2d::Options{.bias = true, .init = init::trunc_normal()})) {}

 protected:
  Variable forward(const Variable& x) override {
    const Variable y = conv_(autograd::reshape(x, {x.size(0), x.size(1), 1, 1}));
    return autograd::reshape(y, {x.size(0), y.size(1)});
  }

 private:
  Conv2d& conv_;
};

}  // namespace

std::shared_ptr<Module> make_classifier(int64_t in, int64_t classes, bool conv) {
  if (classes == 0) return std::make_shared<Identity>();
  if (conv) return std::make_shared<PointwiseClassifier>(in, classes);
  return std::make_shared<Linear>(in, classes);
}

PoolHead::PoolHead(int64_t channels, int64_t classes, const Options& options)
    : norm_(adopt("norm", options.norm ? std::shared_ptr<Module>(std::make_shared<LayerNorm>(
                                             channels, options.norm_epsilon))
                                       : std::make_shared<Identity>())),
      fc_(adopt(options.classifier, make_classifier(channels, classes, options.conv))) {}

Variable PoolHead::forward(const Variable& x) {
  if (x.rank() == 3) return fc_(norm_(autograd::mean(x, {1})));
  const Variable y = autograd::adaptive_avg_pool2d(x, 1, 1);
  return fc_(norm_(autograd::reshape(y, {x.size(0), x.size(1)})));
}

}  // namespace kintsugi::nn
