// The training loop: batches in, a trained network out, resumable at any step with the same bits.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "kintsugi/nn/network.h"

namespace kintsugi::nn {

struct TrainBatch {
  Tensor images;  // (N,C,H,W), normalised
  Tensor labels;  // (N) i64
};

// Batches of an epoch from a step on: called once an epoch; the inner function gives the next batch.
using BatchSource =
    std::function<std::function<TrainBatch()>(int64_t epoch, int64_t first_step)>;

enum class OptimizerKind { kSgd, kAdamW };

struct TrainOptions {
  int64_t epochs = 10;
  int64_t steps_per_epoch = 0;  // of the source
  OptimizerKind optimizer = OptimizerKind::kAdamW;
  double lr = 1e-3;
  double min_lr = 0;
  double weight_decay = 0.05;  // not on norms, biases and other vectors
  double momentum = 0.9;       // SGD
  double warmup_epochs = 0;
  double label_smoothing = 0;
  double clip_norm = 0;        // 0: none
  double ema_decay = 0;        // 0: none; else the average is what the trained network keeps
  uint64_t seed = 0;
};

struct TrainProgress {
  int64_t epoch, step, steps;  // step counts over all epochs
  double loss;                 // mean of the epoch so far
  double lr;
  double images_per_second;
};

// Everything that a later run needs to go on with the same bits.
struct TrainState {
  std::map<std::string, Tensor> tensors;             // "model.", "optimizer.", "ema." + name
  std::map<std::string, std::string> metadata;       // step, generator, options' fingerprint
};

class Trainer {
 public:
  // The network's parameters that want gradients are trained. It stays the caller's.
  Trainer(Network& network, BatchSource source, const TrainOptions& options);
  ~Trainer();

  // Goes on from a snapshot; an Error where it belongs to other options or another network.
  void restore(const TrainState& state);
  TrainState snapshot() const;

  // Runs to the end, or until a stop is requested (then false: take a snapshot). `on_step` is called
  // after every step, `on_epoch` after every epoch (checkpoints are written there). At the end the
  // network holds the averaged weights where ema_decay is set, in evaluation mode. A loss that is NaN
  // or infinite is an Error of kind kNumeric that names the step.
  bool run(const std::function<void(const TrainProgress&)>& on_step = {},
           const std::function<void(int64_t epoch)>& on_epoch = {}, std::stop_token stop = {});

  int64_t step() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

struct Evaluation {
  double top1 = 0, top5 = 0;  // percent; top5 counts all where there are at most five classes
  double loss = 0;            // mean cross-entropy
  int64_t images = 0;
};
// Evaluation mode, no tape. `next` gives batches and then nothing.
Evaluation evaluate(Network& network, const std::function<std::optional<TrainBatch>()>& next,
                    const std::function<void(int64_t images)>& on_batch = {},
                    std::stop_token stop = {});

}  // namespace kintsugi::nn
