// grad_norm, snip and synflow: sums over the parameters and their gradients.
#include <cmath>

#include "kintsugi/autograd/ops/reduce.h"
#include "kintsugi/engine/ops/elementwise.h"
#include "kintsugi/zoo/proxies/gradients.h"
#include "kintsugi/zoo/proxies/proxies.h"

namespace kintsugi::zoo {

namespace {

// Sum over all parameters that the last backward reached of f(weight, gradient).
template <class F>
double sum_over_weights(const ProxyScope& scope, F f) {
  double sum = 0;
  for (const nn::Variable& parameter : scope.parameters()) {
    if (!parameter.grad().defined()) continue;
    const auto w = parameter.value().to_vector<double>();
    const auto g = parameter.grad().to_vector<double>();
    for (size_t i = 0; i < w.size(); ++i) sum += f(w[i], g[i]);
  }
  return sum;
}

}  // namespace

double grad_norm(nn::Network& network, const ProxyBatch& batch) {
  ProxyScope scope(network);
  scope.want_gradients(true);
  backward_of_loss(network, batch);
  return std::sqrt(sum_over_weights(scope, [](double, double g) { return g * g; }));
}

double snip(nn::Network& network, const ProxyBatch& batch) {
  ProxyScope scope(network);
  scope.want_gradients(true);
  backward_of_loss(network, batch);
  return sum_over_weights(scope, [](double w, double g) { return std::abs(w * g); });
}

double synflow(nn::Network& network, const ProxyBatch& batch) {
  ProxyScope scope(network);
  for (const auto* list : {&scope.parameters(), &scope.buffers()}) {
    for (nn::Variable variable : *list) {
      const Tensor value = variable.value().to(kCpu).to(DType::kF64);
      variable.set_value(ops::unary(ops::Unary::kAbs, value));
    }
  }
  scope.want_gradients(true);
  ScopedSet grad(Context::current().grad_enabled, true);
  Shape shape = batch.images.shape();
  shape[0] = 1;
  const nn::Variable y = network(nn::Variable(Tensor::full(shape, 1, DType::kF64)));
  autograd::sum(y).backward();
  return sum_over_weights(scope, [](double w, double g) { return std::abs(w * g); });
}

}  // namespace kintsugi::zoo
