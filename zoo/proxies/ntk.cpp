#include <algorithm>

#include "kintsugi/autograd/ops/reduce.h"
#include "kintsugi/solvers/spectrum.h"
#include "kintsugi/zoo/proxies/gradients.h"
#include "kintsugi/zoo/proxies/proxies.h"

namespace kintsugi::zoo {

double ntk(nn::Network& network, const ProxyBatch& batch, size_t bytes) {
  ProxyScope scope(network);
  scope.want_gradients(true);
  ScopedSet grad(Context::current().grad_enabled, true);
  const size_t n = size_t(batch.images.size(0)), weights = size_t(network.parameter_count());

  // Rows are the gradients of the sum of an image's logits, all parameters side by side.
  const auto gradients = [&](size_t begin, size_t end) {
    solvers::Matrix rows(end - begin, weights);
    for (size_t i = begin; i < end; ++i) {
      scope.drop_gradients();
      const Tensor image = batch.images.slice(0, int64_t(i), int64_t(i) + 1);
      autograd::sum(network(nn::Variable(image))).backward();
      auto next = rows.row(i - begin).begin();
      for (const nn::Variable& parameter : scope.parameters()) {
        if (parameter.grad().defined()) {
          const auto part = parameter.grad().to_vector<double>();
          std::copy(part.begin(), part.end(), next);
        }
        next += parameter.value().numel();
      }
    }
    return rows;
  };
  // Two groups of rows are held at a time, and made again for every other group.
  const size_t row_bytes = std::max<size_t>(1, weights * sizeof(double));
  const size_t group = std::clamp<size_t>(bytes / 2 / row_bytes, 1, n);
  solvers::Matrix kernel(n, n);
  for (size_t a = 0; a < n; a += group) {
    const solvers::Matrix left = gradients(a, std::min(n, a + group));
    for (size_t b = a; b < n; b += group) {
      const solvers::Matrix right = b == a ? left : gradients(b, std::min(n, b + group));
      const solvers::Matrix part = solvers::inner_products(left, right);
      for (size_t i = 0; i < part.rows; ++i) {
        for (size_t j = 0; j < part.cols; ++j) {
          kernel(a + i, b + j) = kernel(b + j, a + i) = part(i, j);
        }
      }
    }
  }
  return -solvers::condition_number(kernel);
}

}  // namespace kintsugi::zoo
