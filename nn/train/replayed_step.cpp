#include "kintsugi/nn/train/replayed_step.h"

#include "kintsugi/autograd/ops/loss.h"

namespace kintsugi::nn {

ReplayedStep::ReplayedStep(Network& network, const TrainBatch& batch, double label_smoothing)
    : batch_{batch.images.clone(), batch.labels.clone()} {
  // A replay is prepared by running it: running statistics are put back.
  std::vector<std::pair<Variable, Tensor>> kept;
  for (const auto& [name, buffer] : network.named_buffers()) {
    kept.emplace_back(buffer, buffer.value().clone());
  }
  const auto parameters = network.named_parameters();
  const auto drop_gradients = [&] {
    for (const auto& [name, parameter] : parameters) Variable(parameter).zero_grad();
  };
  const auto restore = [&] {
    for (const auto& [buffer, value] : kept) Tensor(buffer.value()).copy_from(value);
    drop_gradients();
  };
  try {
    replay_ = std::make_unique<Replay>(batch_.images.device(), [&] {
      drop_gradients();
      const Variable logits = network(Variable(batch_.images));
      const Variable loss = autograd::cross_entropy(logits, batch_.labels, label_smoothing);
      loss_ = loss.value();
      loss.backward();
    });
  } catch (...) {
    restore();
    throw;
  }
  for (const auto& [name, parameter] : parameters) {
    if (parameter.grad().defined()) gradients_.emplace_back(parameter, parameter.grad());
  }
  restore();
}

bool ReplayedStep::takes(const TrainBatch& batch) const {
  return batch.images.shape() == batch_.images.shape() &&
         batch.images.device() == batch_.images.device() &&
         batch.labels.shape() == batch_.labels.shape();
}

const Tensor& ReplayedStep::run(const TrainBatch& batch) {
  batch_.images.copy_from(batch.images);
  batch_.labels.copy_from(batch.labels);
  replay_->run();
  for (auto& [parameter, gradient] : gradients_) parameter.set_grad(gradient);
  return loss_;
}

}  // namespace kintsugi::nn
