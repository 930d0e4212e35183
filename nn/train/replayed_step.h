// A training step's forward, loss and backward, captured once and replayed for every batch of its
// shape: a device then waits for no launch. The same bits as the step queued operator by operator.
#pragma once

#include <memory>
#include <vector>

#include "kintsugi/engine/program/replay.h"
#include "kintsugi/nn/train/trainer.h"

namespace kintsugi::nn {

class ReplayedStep {
 public:
  // The network is in training mode, on the batch's device. Weights, buffers and the generator are
  // afterwards what they were; gradients are dropped. An Error of kind kDevice where the step
  // cannot be captured: it waits for the device, say.
  ReplayedStep(Network& network, const TrainBatch& batch, double label_smoothing);

  // Whether a batch has the captured shape.
  bool takes(const TrainBatch& batch) const;
  // The mean loss, shape (); every parameter that wants one holds its gradient.
  const Tensor& run(const TrainBatch& batch);

 private:
  TrainBatch batch_;
  Tensor loss_;
  std::vector<std::pair<Variable, Tensor>> gradients_;
  std::unique_ptr<Replay> replay_;
};

}  // namespace kintsugi::nn
