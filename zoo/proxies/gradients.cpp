#include "kintsugi/zoo/proxies/gradients.h"

#include "kintsugi/autograd/ops/elementwise.h"
#include "kintsugi/autograd/ops/loss.h"

namespace kintsugi::zoo {

void in_parts(const ProxyBatch& batch,
              const std::function<void(const Tensor& images, const Tensor& labels)>& fn) {
  constexpr int64_t kPart = 16;
  const int64_t n = batch.images.size(0);
  ScopedSet grad(Context::current().grad_enabled, true);
  for (int64_t begin = 0; begin < n; begin += kPart) {
    const int64_t end = std::min(n, begin + kPart);
    fn(batch.images.slice(0, begin, end), batch.labels.slice(0, begin, end).contiguous());
  }
}

void backward_of_loss(nn::Network& network, const ProxyBatch& batch) {
  const double n = double(batch.images.size(0));
  in_parts(batch, [&](const Tensor& images, const Tensor& labels) {
    const nn::Variable loss = autograd::cross_entropy(network(nn::Variable(images)), labels);
    autograd::affine(loss, double(images.size(0)) / n, 0).backward();
  });
}

}  // namespace kintsugi::zoo
