#include "kintsugi/zoo/proxies/naswot.h"

#include <map>

#include "kintsugi/nn/layers/layers.h"
#include "kintsugi/solvers/naswot.h"
#include "kintsugi/zoo/datasets/subset.h"
#include "kintsugi/zoo/hub.h"
#include "kintsugi/zoo/load.h"
#include "kintsugi/zoo/proxies/batch.h"
#include "kintsugi/zoo/proxies/scope.h"

namespace kintsugi::zoo {

namespace {

void require_two(int64_t images) {
  if (images < 2) fail(ErrorKind::kUsage, "naswot: got ", images, " images, expected at least two");
}

void collect(solvers::Naswot& kernel, const Tensor& x) {
  // Activations whose leading dimension is not the batch have no code per image.
  if (x.rank() == 0 || size_t(x.size(0)) != kernel.inputs()) return;
  const Tensor rows = x.contiguous().to(kCpu).to(DType::kF32);
  kernel.add(rows.data<float>(), kernel.inputs(), size_t(rows.numel() / x.size(0)));
}

// K of the stem, of every node and of the head.
std::vector<solvers::Naswot> kernels_of(nn::Network& network, const Tensor& images,
                                        bool training = false) {
  std::vector<solvers::Naswot> kernels(network.blocks().size() + 2,
                                       solvers::Naswot(size_t(images.size(0))));
  size_t part = 0;
  const nn::ObserveActivations observe([&](const Tensor& x) { collect(kernels[part], x); });
  const ProxyScope scope(network);
  network.train(training);
  autograd::NoGrad no_grad;
  network.forward_features(nn::Variable(images), [&](int64_t position, const nn::Variable&) {
    part = size_t(position) + 1;
  });
  return kernels;
}

}  // namespace

double naswot(nn::Network& network, const Tensor& images, bool training) {
  require_two(images.size(0));
  solvers::Naswot sum{size_t(images.size(0))};
  for (const solvers::Naswot& kernel : kernels_of(network, images, training)) sum.merge(kernel);
  return sum.score() / double(images.size(0));
}

std::vector<std::vector<solvers::Matrix>> block_kernels(const PartitionFile& partition,
                                                        const std::shared_ptr<const Dataset>& data,
                                                        const BlockKernelOptions& options,
                                                        const std::function<void(double)>& progress,
                                                        std::stop_token stop) {
  require_two(options.images);
  const std::vector<int64_t> indices = stratified_sample(*data, options.images, options.seed);
  std::map<std::string, std::vector<solvers::Naswot>> at_home;
  for (const DissectedModel& model : partition.models) {
    if (stop.stop_requested()) fail(ErrorKind::kInterrupted, "naswot: stopped");
    if (model.weights.empty()) {
      fail(ErrorKind::kUsage, "naswot: the partition names no weights of ", model.name);
    }
    if (!model.sha256.empty() && sha256_of_weights(model.weights) != model.sha256) {
      fail(ErrorKind::kFormat, model.weights.string(), ": not the weights that were partitioned");
    }
    const LoadedNetwork loaded = load_network(model.architecture, model.weights);
    if (loaded.network->blocks().size() != model.nodes.size()) {
      fail(ErrorKind::kFormat, "naswot: ", model.name, " has ", loaded.network->blocks().size(),
           " nodes, the partition says ", model.nodes.size());
    }
    const ProxyBatch batch =
        proxy_batch(data, indices, loaded.card.input, loaded.card.preprocessing);
    at_home.emplace(model.name, kernels_of(*loaded.network, batch.images));
    if (progress) progress(double(at_home.size()) / double(partition.models.size()));
  }
  std::vector<std::vector<solvers::Matrix>> kernels;
  for (const PartitionFile::Set& set : partition.sets) {
    kernels.emplace_back();
    for (const BlockRange& range : set.blocks) {
      const std::vector<solvers::Naswot>& parts = at_home.at(range.model);
      const size_t nodes = parts.size() - 2;
      const size_t begin = range.first == 1 ? 0 : size_t(range.first);
      const size_t end =
          size_t(range.last) + (size_t(range.last) == nodes && !options.fresh_head ? 1 : 0);
      solvers::Naswot sum(indices.size());
      for (size_t i = begin; i <= end; ++i) sum.merge(parts[i]);
      kernels.back().push_back(sum.kernel());
    }
  }
  return kernels;
}

}  // namespace kintsugi::zoo
