#include "kintsugi/apps/data.h"

#include "kintsugi/zoo/dissect.h"

namespace kintsugi::apps {

Selection::Selection(std::shared_ptr<const zoo::Dataset> from, std::vector<int64_t> indices)
    : from_(std::move(from)), indices_(std::move(indices)) {}

std::shared_ptr<const zoo::Dataset> first_of(std::shared_ptr<const zoo::Dataset> data,
                                             int64_t count, uint64_t seed) {
  if (count <= 0 || count >= data->size()) return data;
  std::vector<int64_t> order = zoo::seeded_images(data, count, seed);
  return std::make_shared<Selection>(std::move(data), std::move(order));
}

namespace {

nn::TrainBatch as_tensors(const zoo::Batch& batch, const zoo::Preprocessing& preprocessing) {
  return {zoo::normalise(batch, preprocessing.mean, preprocessing.std), zoo::labels_of(batch)};
}

}  // namespace

nn::BatchSource batches_of(std::shared_ptr<zoo::Loader> loader,
                           const zoo::Preprocessing& preprocessing) {
  return [loader, preprocessing](int64_t epoch, int64_t first_step) {
    auto reader = std::make_shared<zoo::EpochReader>(loader->epoch(epoch, first_step));
    return [loader, preprocessing, reader] {
      const std::optional<zoo::Batch> batch = reader->next();
      if (!batch) fail(ErrorKind::kUsage, "the data ended before the epoch");
      return as_tensors(*batch, preprocessing);
    };
  };
}

nn::Evaluation evaluate(nn::Network& network, const zoo::Card& card,
                        std::shared_ptr<const zoo::Dataset> data, int64_t batch_size,
                        const std::function<void(int64_t images)>& progress, std::stop_token stop) {
  if (card.classes == 0) {
    fail(ErrorKind::kUsage, network.name(), " has no classifier, only features");
  }
  if (int64_t(data->classes().size()) > network.classes()) {
    fail(ErrorKind::kUsage, "data: got ", data->classes().size(), " classes, expected at most the ",
         network.classes(), " of the network ", network.name());
  }
  const zoo::Loader loader(std::move(data),
                           zoo::loader_options(card.input, card.preprocessing, batch_size));
  zoo::EpochReader reader = loader.epoch(0);
  const auto next = [&]() -> std::optional<nn::TrainBatch> {
    const std::optional<zoo::Batch> batch = reader.next();
    if (!batch) return std::nullopt;
    return as_tensors(*batch, card.preprocessing);
  };
  const nn::Evaluation result = nn::evaluate(network, next, progress, stop);
  if (stop.stop_requested()) fail(ErrorKind::kInterrupted, "stopped");
  return result;
}

}  // namespace kintsugi::apps
