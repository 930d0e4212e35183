#include "kintsugi/zoo/proxies/naswot.h"

#include "kintsugi/nn/layers/layers.h"
#include "kintsugi/solvers/naswot.h"

namespace kintsugi::zoo {

double naswot(nn::Network& network, const Tensor& images) {
  const int64_t n = images.size(0);
  if (n < 2) fail(ErrorKind::kUsage, "naswot: got ", n, " images, expected at least two");
  solvers::Naswot kernel{size_t(n)};
  const nn::ObserveActivations observe([&](const Tensor& x) {
    // Activations whose leading dimension is not the batch have no code per image.
    if (x.rank() == 0 || x.size(0) != n) return;
    const Tensor rows = x.contiguous();
    kernel.add(rows.data<float>(), size_t(n), size_t(rows.numel() / n));
  });
  network.train(false);
  autograd::NoGrad no_grad;
  network(nn::Variable(images));
  return kernel.score() / double(n);
}

}  // namespace kintsugi::zoo
