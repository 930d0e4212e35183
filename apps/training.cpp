#include "kintsugi/apps/training.h"

#include <cstdio>
#include <iostream>
#include <sstream>

#include "kintsugi/apps/json.h"
#include "kintsugi/apps/text.h"
#include "kintsugi/zoo/dissect.h"
#include "kintsugi/zoo/weights/checkpoint.h"

namespace kintsugi::apps {

namespace {

constexpr const char* kSubjectKey = "kintsugi.subject";
constexpr const char* kSettingsKey = "kintsugi.settings";
constexpr const char* kSecondsKey = "kintsugi.seconds";

zoo::Augment augment_of(const TrainSettings& settings) {
  zoo::Augment augment;
  if (settings.augment == "standard") {
    augment.crop_padding = 2;
    augment.horizontal_flip = true;
  }
  if (settings.crop_padding) augment.crop_padding = int(*settings.crop_padding);
  if (settings.flip) augment.horizontal_flip = true;
  augment.erase_probability = settings.erase;
  return augment;
}

nn::TrainOptions trainer_options(const TrainSettings& settings, int64_t steps) {
  nn::TrainOptions options;
  options.epochs = settings.epochs;
  options.steps_per_epoch = steps;
  options.optimizer =
      settings.optimizer == "sgd" ? nn::OptimizerKind::kSgd : nn::OptimizerKind::kAdamW;
  options.lr = settings.lr;
  options.weight_decay = settings.weight_decay;
  options.momentum = settings.momentum;
  options.warmup_epochs = settings.warmup_epochs;
  options.label_smoothing = settings.label_smoothing;
  options.clip_norm = settings.clip_norm;
  options.ema_decay = settings.ema;
  options.seed = settings.seed;
  return options;
}

// Returns the seconds of earlier sittings.
double go_on_from(nn::Trainer& trainer, const Resume& resume, const TrainSettings& settings) {
  zoo::Weights stored = zoo::read_weights(resume.checkpoint, {.unwrap = false});
  const auto require = [&](const char* key, const std::string& now) {
    const std::string then = stored.metadata[key];
    if (then == now) return;
    throw Error(ErrorKind::kUsage,
                "checkpoint " + resume.checkpoint.string() +
                    ": belongs to another run; take its options again, or --fresh to start anew",
                {"got      " + now, "expected " + then});
  };
  require(kSubjectKey, resume.subject);
  require(kSettingsKey, settings.fingerprint());
  const double seconds = std::strtod(stored.metadata[kSecondsKey].c_str(), nullptr);
  for (const char* key : {kSubjectKey, kSettingsKey, kSecondsKey}) stored.metadata.erase(key);
  trainer.restore({std::move(stored.tensors), std::move(stored.metadata)});
  return seconds;
}

}  // namespace

std::vector<Option> TrainSettings::options() {
  const std::string group = "Training";
  const auto one = [&](const char* name, Option::Target target, const char* help, double min,
                       double max = std::numeric_limits<double>::infinity()) {
    return Option{name, target, help, group, false, min, max};
  };
  Option kind{"--optimizer", &optimizer, "the optimiser", group};
  kind.choices = {"adamw", "sgd"};
  Option augmentation{"--augment", &augment, "standard: crop with padding 2, and flip", group};
  augmentation.choices = {"none", "standard"};
  return {one("--epochs", &epochs, "passes over the training images", 1),
          one("--batch-size", &batch_size, "images of a step", 1),
          kind,
          one("--lr", &lr, "highest learning rate; falls to 0 along a cosine", 0),
          one("--weight-decay", &weight_decay, "of matrices and kernels", 0),
          one("--momentum", &momentum, "of sgd", 0, 1),
          one("--warmup-epochs", &warmup_epochs, "the rate rises for so long", 0),
          one("--label-smoothing", &label_smoothing, "mass spread over all classes", 0, 1),
          one("--ema", &ema, "decay of the averaged weights that are kept (0: none)", 0, 1),
          one("--clip-norm", &clip_norm, "of the whole gradient (0: none)", 0),
          one("--drop-path", &drop_path, "rate of the last block; grows from 0", 0, 0.99),
          augmentation,
          one("--crop-padding", &crop_padding, "pixels, over --augment's", 0, 1000),
          {"--flip", &flip, "flip half of the images, whatever --augment says", group},
          one("--erase", &erase, "probability of erasing a rectangle", 0, 1)};
}

std::string TrainSettings::fingerprint() const {
  std::ostringstream out;
  out.precision(17);
  const zoo::Augment augmented = augment_of(*this);
  out << "epochs=" << epochs << " batch=" << batch_size << " optimizer=" << optimizer
      << " lr=" << lr << " weight_decay=" << weight_decay << " momentum=" << momentum
      << " warmup=" << warmup_epochs << " smoothing=" << label_smoothing << " ema=" << ema
      << " clip=" << clip_norm << " drop_path=" << drop_path
      << " crop_padding=" << augmented.crop_padding << " flip=" << augmented.horizontal_flip
      << " erase=" << augmented.erase_probability << " seed=" << seed;
  return out.str();
}

Trained train_network(nn::Network& network, const zoo::Card& card,
                      std::shared_ptr<const zoo::Dataset> data, const TrainSettings& settings,
                      const Resume& resume, Progress& progress, std::stop_token stop) {
  if (int64_t(data->classes().size()) > network.classes()) {
    fail(ErrorKind::kUsage, "data: got ", data->classes().size(), " classes, expected at most the ",
         network.classes(), " of the network ", network.name());
  }
  zoo::LoaderOptions loading = zoo::loader_options(card.input, card.preprocessing,
                                                   std::min(settings.batch_size, data->size()));
  loading.seed = settings.seed;
  loading.shuffle = true;
  loading.drop_last = true;
  loading.augment = augment_of(settings);
  const auto loader = std::make_shared<zoo::Loader>(std::move(data), loading);
  nn::Trainer trainer(network, batches_of(loader, card.preprocessing),
                      trainer_options(settings, loader->steps()));

  Trained result;
  result.images = loader->images();
  const bool keeps = !resume.checkpoint.empty();
  double earlier = 0;
  if (keeps && !resume.fresh && std::filesystem::exists(resume.checkpoint)) {
    earlier = go_on_from(trainer, resume, settings);
    progress.line("going on from " + resume.checkpoint.string() + ", step " +
                  std::to_string(trainer.step()));
  }
  const auto save = [&] {
    if (!keeps) return;
    nn::TrainState state = trainer.snapshot();
    state.metadata[kSubjectKey] = resume.subject;
    state.metadata[kSettingsKey] = settings.fingerprint();
    state.metadata[kSecondsKey] = std::to_string(earlier + progress.seconds());
    zoo::write_weights(resume.checkpoint, {std::move(state.tensors), std::move(state.metadata)});
  };

  char note[128] = "";
  const auto on_step = [&](const nn::TrainProgress& now) {
    result.loss = now.loss;
    std::snprintf(note, sizeof note, "epoch %lld of %lld, loss %.4f, lr %.2e, %.0f images/s",
                  static_cast<long long>(now.epoch + 1), static_cast<long long>(settings.epochs),
                  now.loss, now.lr, now.images_per_second);
    progress.update(double(now.step) / double(now.steps), note);
  };
  const auto on_epoch = [&](int64_t) {
    save();
    progress.line(note);
  };
  if (!trainer.run(on_step, on_epoch, stop)) {
    save();
    const std::string where = "stopped at step " + std::to_string(trainer.step());
    fail(ErrorKind::kInterrupted, where,
         keeps ? "; the same command again goes on from " + resume.checkpoint.string() : "");
  }
  result.seconds = earlier + progress.seconds();
  return result;
}

void print_trained(const Session& session, const std::string& weights,
                   const nn::Evaluation& result, const Trained& trained,
                   const TrainSettings& settings) {
  if (session.json()) {
    const Json json{{"weights", weights},
                    {"top1", result.top1},
                    {"top5", result.top5},
                    {"loss", result.loss},
                    {"images", result.images},
                    {"train_loss", trained.loss},
                    {"epochs", settings.epochs},
                    {"seconds", trained.seconds}};
    std::cout << json.dump() << "\n";
    return;
  }
  std::cout << weights << ": top-1 " << fixed(result.top1, 2) << " %, top-5 "
            << fixed(result.top5, 2) << " % on " << result.images << " test images, "
            << settings.epochs << " epochs in " << duration(trained.seconds) << "\n";
}

}  // namespace kintsugi::apps
