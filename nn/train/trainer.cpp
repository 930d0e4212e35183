#include "kintsugi/nn/train/trainer.h"

#include <chrono>
#include <cmath>
#include <utility>

#include "kintsugi/autograd/ops/loss.h"
#include "kintsugi/autograd/optim/adamw.h"
#include "kintsugi/autograd/optim/clip.h"
#include "kintsugi/autograd/optim/ema.h"
#include "kintsugi/autograd/optim/schedule.h"
#include "kintsugi/autograd/optim/sgd.h"
#include "kintsugi/engine/ops/loss.h"
#include "kintsugi/nn/replayed_forward.h"
#include "kintsugi/nn/train/replayed_step.h"

namespace kintsugi::nn {

namespace {

using autograd::ParamGroup;

std::vector<ParamGroup> groups_of(Network& network, double weight_decay) {
  ParamGroup decayed, plain;
  decayed.weight_decay = weight_decay;
  plain.weight_decay = 0;
  for (const auto& [name, parameter] : network.named_parameters()) {
    if (!parameter.requires_grad()) continue;
    // timm's rule: vectors and the tokens and position embeddings of transformers do not decay.
    const bool decays = parameter.rank() > 1 && !name.ends_with("cls_token") &&
                        !name.ends_with("pos_embed");
    (decays ? decayed : plain).params.emplace_back(name, parameter);
  }
  if (decayed.params.empty() && plain.params.empty()) {
    fail(ErrorKind::kUsage, "train: ", network.name(), " has no parameter that wants a gradient");
  }
  return {decayed, plain};
}

std::unique_ptr<autograd::Optimizer> make_optimizer(Network& network, const TrainOptions& options) {
  std::vector<ParamGroup> groups = groups_of(network, options.weight_decay);
  if (options.optimizer == OptimizerKind::kSgd) {
    return std::make_unique<autograd::Sgd>(std::move(groups), options.momentum, true);
  }
  return std::make_unique<autograd::AdamW>(std::move(groups));
}

// Options whose change would make a resumed run another run.
std::string fingerprint(const Network& network, const TrainOptions& o) {
  std::ostringstream out;
  out.precision(17);
  out << network.name() << " params " << network.parameter_count() << " epochs " << o.epochs << " steps "
      << o.steps_per_epoch << " optimizer " << int(o.optimizer) << " lr " << o.lr << " min " << o.min_lr
      << " wd " << o.weight_decay << " momentum " << o.momentum << " warmup " << o.warmup_epochs
      << " smoothing " << o.label_smoothing << " clip " << o.clip_norm << " ema " << o.ema_decay
      << " seed " << o.seed;
  return out.str();
}

const std::string& required(const std::map<std::string, std::string>& metadata,
                            const std::string& name) {
  const auto found = metadata.find(name);
  if (found == metadata.end()) fail(ErrorKind::kFormat, "checkpoint: '", name, "' is missing");
  return found->second;
}

}  // namespace

struct Trainer::State {
  Network& network;
  BatchSource source;
  TrainOptions options;
  std::unique_ptr<autograd::Optimizer> optimizer;
  std::unique_ptr<autograd::Ema> ema;
  int64_t step = 0;
  Generator generator;  // of dropped paths
  std::unique_ptr<ReplayedStep> replayed = {};
  bool replay_tried = false;

  // On a device, batches of the first one's shape are replayed, where that can be: not where
  // memory is short, nor while somebody looks at every operator.
  bool replays(const TrainBatch& batch) {
    const Context& context = Context::current();
    if (batch.images.device() == kCpu || context.profiler || context.recorder) return false;
    if (!std::exchange(replay_tried, true)) {
      try {
        replayed = std::make_unique<ReplayedStep>(network, batch, options.label_smoothing);
      } catch (const Error& error) {
        if (error.kind() != ErrorKind::kDevice && error.kind() != ErrorKind::kMemory) throw;
      }
    }
    return replayed && replayed->takes(batch);
  }

  // Averaged: parameters and running statistics, as timm's ModelEma.
  std::map<std::string, Tensor> averaged_now() const {
    std::map<std::string, Tensor> tensors;
    for (const auto& list : {network.named_parameters(), network.named_buffers()}) {
      for (const auto& [name, variable] : list) tensors[name] = variable.value();
    }
    return tensors;
  }
};

Trainer::Trainer(Network& network, BatchSource source, const TrainOptions& options)
    : state_(new State{network, std::move(source), options, make_optimizer(network, options), nullptr,
                       0, Generator(options.seed ^ 0x7472'6169'6e00'0000ull)}) {
  if (options.epochs < 1 || options.steps_per_epoch < 1) {
    fail(ErrorKind::kUsage, "train: got ", options.epochs, " epochs of ", options.steps_per_epoch,
         " steps, expected at least one of each");
  }
  if (options.ema_decay > 0) {
    state_->ema = std::make_unique<autograd::Ema>(state_->averaged_now(), options.ema_decay);
  }
}

Trainer::~Trainer() = default;

int64_t Trainer::step() const { return state_->step; }

TrainState Trainer::snapshot() const {
  const State& s = *state_;
  TrainState out;
  for (const auto& [name, tensor] : s.network.state()) out.tensors["model." + name] = tensor;
  for (const auto& [name, tensor] : s.optimizer->state_dict()) {
    out.tensors["optimizer." + name] = tensor.clone();
  }
  if (s.ema) {
    for (const auto& [name, tensor] : s.ema->averages()) out.tensors["ema." + name] = tensor.clone();
  }
  out.metadata["step"] = std::to_string(s.step);
  out.metadata["optimizer_steps"] = std::to_string(s.optimizer->steps());
  out.metadata["ema_steps"] = std::to_string(s.ema ? s.ema->steps() : 0);
  out.metadata["generator_next"] = std::to_string(s.generator.next());
  out.metadata["fingerprint"] = fingerprint(s.network, s.options);
  return out;
}

void Trainer::restore(const TrainState& state) {
  State& s = *state_;
  const std::string want = fingerprint(s.network, s.options);
  const std::string& got = required(state.metadata, "fingerprint");
  if (got != want) {
    throw Error(ErrorKind::kUsage, "checkpoint: it belongs to a run with other options",
                {"got:      " + got, "expected: " + want});
  }
  std::map<std::string, Tensor> model, optimizer, ema;
  for (const auto& [name, tensor] : state.tensors) {
    if (name.starts_with("model.")) model[name.substr(6)] = tensor;
    else if (name.starts_with("optimizer.")) optimizer[name.substr(10)] = tensor;
    else if (name.starts_with("ema.")) ema[name.substr(4)] = tensor;
  }
  const auto number = [&](const char* name) {
    const std::string& text = required(state.metadata, name);
    if (text.empty() || text.size() > 18 || text.find_first_not_of("0123456789") != text.npos) {
      fail(ErrorKind::kFormat, "checkpoint: '", name, "' is '", text, "', expected a number");
    }
    return int64_t(std::stoll(text));
  };
  const int64_t step = number("step");
  if (step > s.options.epochs * s.options.steps_per_epoch) {
    fail(ErrorKind::kFormat, "checkpoint: step ", step, " lies after the end");
  }
  s.network.load_state(model);
  s.optimizer->load_state_dict(optimizer, number("optimizer_steps"));
  if (s.ema) s.ema->load(ema, number("ema_steps"));
  s.generator.set_next(uint64_t(number("generator_next")));
  s.step = step;
}

bool Trainer::run(const std::function<void(const TrainProgress&)>& on_step,
                  const std::function<void(int64_t)>& on_epoch, std::stop_token stop) {
  State& s = *state_;
  const TrainOptions& o = s.options;
  const int64_t total = o.epochs * o.steps_per_epoch;
  const int64_t warmup = int64_t(std::llround(o.warmup_epochs * double(o.steps_per_epoch)));
  Context& context = Context::current();
  using Clock = std::chrono::steady_clock;
  s.network.train(true);
  while (s.step < total) {
    const int64_t epoch = s.step / o.steps_per_epoch;
    const auto next = s.source(epoch, s.step % o.steps_per_epoch);
    double loss_sum = 0, images = 0;
    const auto start = Clock::now();
    do {
      if (stop.stop_requested()) return false;
      const TrainBatch batch = next();
      const double lr = autograd::cosine_lr(s.step, total, warmup, o.lr, o.min_lr);
      double loss_value = 0;
      {
        ScopedSet generator(context.generator, s.generator);
        Tensor loss;
        if (s.replays(batch)) {
          loss = s.replayed->run(batch);
        } else {
          const Variable logits = s.network(Variable(batch.images));
          const Variable mean = autograd::cross_entropy(logits, batch.labels, o.label_smoothing);
          mean.backward();
          loss = mean.value();
        }
        // Read after the backward is queued: on a device it waits for what came before.
        loss_value = loss.item();
        if (!std::isfinite(loss_value)) {
          fail(ErrorKind::kNumeric, "train: the loss is ", loss_value, " at step ", s.step, " of ",
               total, " (learning rate ", lr, ")");
        }
        s.generator = context.generator;
      }
      if (o.clip_norm > 0) autograd::clip_grad_norm(*s.optimizer, o.clip_norm);
      s.optimizer->step(lr);
      s.optimizer->zero_grad();
      ++s.step;
      if (s.ema) s.ema->update(s.averaged_now());
      loss_sum += loss_value * double(batch.images.size(0));
      images += double(batch.images.size(0));
      if (on_step) {
        const std::chrono::duration<double> seconds = Clock::now() - start;
        on_step({epoch, s.step, total, loss_sum / images, lr, images / seconds.count()});
      }
    } while (s.step % o.steps_per_epoch != 0);
    if (on_epoch) on_epoch(epoch);
  }
  if (s.ema) {
    s.network.load_state(s.ema->averages());
  }
  s.network.train(false);
  return true;
}

Evaluation evaluate(Network& network, const std::function<std::optional<TrainBatch>()>& next,
                    const std::function<void(int64_t)>& on_batch, std::stop_token stop) {
  network.train(false);
  autograd::NoGrad no_grad;
  ReplayedForward forward(network);
  Evaluation out;
  double correct1 = 0, correct5 = 0, loss = 0;
  while (auto batch = next()) {
    if (stop.stop_requested()) fail(ErrorKind::kInterrupted, "eval: stopped");
    const Tensor logits = forward(batch->images);
    const int64_t n = logits.size(0), k = logits.size(1);
    loss += ops::cross_entropy(logits, batch->labels).loss.item() * double(n);
    const Tensor here = logits.to(kCpu).contiguous(), answers = batch->labels.to(kCpu).contiguous();
    const float* values = here.data<float>();
    const int64_t* labels = answers.data<int64_t>();
    for (int64_t i = 0; i < n; ++i) {
      const float* row = values + i * k;
      const int64_t label = labels[i];
      // The rank of the label; of equals the first wins, as argmax has it. NaN ranks last.
      int64_t before = 0;
      for (int64_t c = 0; c < k; ++c) {
        before += row[c] > row[label] || (row[c] == row[label] && c < label) || std::isnan(row[label]);
      }
      correct1 += before == 0;
      correct5 += before < 5;
    }
    out.images += n;
    if (on_batch) on_batch(out.images);
  }
  if (out.images == 0) fail(ErrorKind::kUsage, "eval: no images");
  out.top1 = 100 * correct1 / double(out.images);
  out.top5 = 100 * correct5 / double(out.images);
  out.loss = loss / double(out.images);
  return out;
}

}  // namespace kintsugi::nn
