#include "kintsugi/autograd/ops/reduce.h"
#include "kintsugi/solvers/spectrum.h"
#include "kintsugi/zoo/proxies/gradients.h"
#include "kintsugi/zoo/proxies/proxies.h"

namespace kintsugi::zoo {

double jacov(nn::Network& network, const ProxyBatch& batch) {
  const ProxyScope scope(network);
  const int64_t n = batch.images.size(0);
  solvers::Matrix jacobians{size_t(n), size_t(batch.images.numel() / n)};
  auto next = jacobians.values.begin();
  in_parts(batch, [&](const Tensor& images, const Tensor&) {
    const nn::Variable x(images, true);
    autograd::sum(network(x)).backward();
    const auto rows = x.grad().to_vector<double>();
    next = std::copy(rows.begin(), rows.end(), next);
  });
  return solvers::jacov(jacobians);
}

}  // namespace kintsugi::zoo
