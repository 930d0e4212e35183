// Training as `train`, `finetune` and `demo` do it: options, augmentation, checkpoints, resume.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "kintsugi/apps/data.h"
#include "kintsugi/apps/options.h"
#include "kintsugi/apps/progress.h"
#include "kintsugi/apps/session.h"

namespace kintsugi::apps {

struct TrainSettings {
  int64_t epochs = 10;
  int64_t batch_size = 128;
  double lr = 1e-3;
  std::string optimizer = "adamw";
  double weight_decay = 0.05;
  double momentum = 0.9;
  double warmup_epochs = 0;
  double label_smoothing = 0;
  double ema = 0;
  double clip_norm = 0;
  double drop_path = 0;
  std::string augment = "standard";
  std::optional<int64_t> crop_padding;  // over `augment`
  bool flip = false;
  double erase = 0;
  uint64_t seed = 0;

  // The records of all the above but the seed.
  std::vector<Option> options();
  // All that decides the bits of a run, besides data and network.
  std::string fingerprint() const;
};

struct Resume {
  std::filesystem::path checkpoint;  // empty: none is written or read
  bool fresh = false;                // do not go on from one that exists
  std::string subject;               // network and data; another subject is refused
};

struct Trained {
  double seconds = 0;  // over all sittings
  double loss = 0;     // mean of the last epoch
  int64_t images = 0;  // of an epoch
};

// Trains the parameters that want gradients. A checkpoint is written after every epoch and on a
// stop, which is then an Error kInterrupted that says how to go on; it is left for the caller to
// remove once the result is safe.
Trained train_network(nn::Network& network, const zoo::Card& card,
                      std::shared_ptr<const zoo::Dataset> data, const TrainSettings& settings,
                      const Resume& resume, Progress& progress, std::stop_token stop);

// The result of `train` and `finetune`, as a line or as JSON.
void print_trained(const Session& session, const std::string& weights,
                   const nn::Evaluation& result, const Trained& trained,
                   const TrainSettings& settings);

}  // namespace kintsugi::apps
