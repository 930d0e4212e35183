#include "kintsugi/zoo/similarity.h"

#include "kintsugi/zoo/hub.h"

namespace kintsugi::zoo {

SimilarityFile similarity_of(std::vector<ZooMember>& members, std::shared_ptr<const Dataset> data,
                             const SimilarityOptions& options,
                             const std::function<void(double)>& progress, std::stop_token stop) {
  if (members.size() < 2) {
    fail(ErrorKind::kUsage, "similarity: got a zoo of ", members.size(), ", expected at least two");
  }
  SimilarityFile file;
  file.metric = options.cka.estimator == solvers::CkaEstimator::kBiased ? "linear-cka"
                                                                        : "linear-cka-unbiased";
  std::vector<Loader> loaders;
  size_t positions = 0;
  for (ZooMember& member : members) {
    nn::Network& network = *member.loaded.network;
    network.train(false);
    DissectedModel model = dissect(member.name, network);
    model.weights = member.weights;
    model.sha256 = sha256_of_weights(member.weights);
    model.naming = member.loaded.card.naming;
    model.licence = member.licence.empty() ? member.loaded.card.licence : member.licence;
    positions += size_t(model.positions());
    file.models.push_back(std::move(model));
    LoaderOptions loader = loader_options(network.input(), member.loaded.card.preprocessing,
                                          options.batch_size);
    loader.prefetch = 0;
    loaders.emplace_back(data, loader);
  }
  const std::vector<int64_t> images = seeded_images(data, options.images, options.seed);
  // A short last batch would weigh as much as a whole one in the mean over batches, so it is left out.
  const int64_t batch = std::min<int64_t>(options.batch_size, int64_t(images.size()));
  const int64_t batches = int64_t(images.size()) / batch;
  file.images = batches * batch;
  solvers::StreamingCka cka(positions, options.cka);
  autograd::NoGrad no_grad;
  for (int64_t b = 0; b < batches; ++b) {
    const std::span<const int64_t> chosen(images.data() + b * batch, size_t(batch));
    cka.begin_batch(size_t(batch));
    size_t base = 0;
    for (size_t m = 0; m < members.size(); ++m) {
      if (stop.stop_requested()) fail(ErrorKind::kInterrupted, "similarity: stopped");
      nn::Network& network = *members[m].loaded.network;
      const Preprocessing& preprocessing = members[m].loaded.card.preprocessing;
      const Batch pixels = loaders[m].batch_of(chosen);
      const Tensor x = normalise(pixels, preprocessing.mean, preprocessing.std);
      network.forward_features(nn::Variable(x), [&](int64_t position, const nn::Variable& feature) {
        const Tensor rows = nn::pooled(feature).contiguous();
        cka.add(base + size_t(position), rows.data<float>(), size_t(batch), size_t(rows.size(1)));
      });
      base += size_t(network.positions());
      if (progress) {
        progress((double(b) + double(m + 1) / double(members.size())) / double(batches));
      }
    }
    cka.end_batch({.stop = stop});
  }
  file.similarity = cka.similarity();
  return file;
}

}  // namespace kintsugi::zoo
