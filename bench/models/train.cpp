#include "bench/models/train.h"

#include <chrono>
#include <cmath>
#include <iomanip>

#include "kintsugi/apps/profile.h"
#include "kintsugi/apps/text.h"
#include "kintsugi/engine/core/context.h"
#include "kintsugi/engine/program/recorder.h"
#include "kintsugi/nn/train/trainer.h"
#include "kintsugi/zoo/load.h"

namespace kintsugi::bench {

namespace {

void bench_one(std::ostream& out, const std::string& name, const TrainBenchOptions& options) {
  const zoo::LoadedNetwork loaded = zoo::fresh_network(name, {}, 1);
  nn::Network& network = *loaded.network;
  const Shape& input = network.input();
  const int64_t n = options.batch_size;
  Tensor images = Tensor::empty({n, input[0], input[1], input[2]}, DType::kF32, kCpu,
                                MemoryFormat::kChannelsLast);
  Generator(2).normal(images, 0, 1);
  std::vector<int64_t> classes;
  for (int64_t i = 0; i < n; ++i) classes.push_back(i * 7 % network.classes());
  const Tensor labels = Tensor::from<int64_t>({n}, classes);

  nn::TrainOptions training;
  training.epochs = 1;
  training.steps_per_epoch = options.steps + 2;
  training.lr = 2e-3;
  training.min_lr = 2e-3;
  const auto batches = [&](int64_t, int64_t) {
    return [&] { return nn::TrainBatch{images, labels}; };
  };
  nn::Trainer trainer(network, batches, training);

  using Clock = std::chrono::steady_clock;
  double first = 0, last = 0, sum = 0;
  std::optional<Profiler> profiler;
  Context& context = Context::current();
  context.fallbacks.clear();
  Clock::time_point start;
  trainer.run([&](const nn::TrainProgress& now) {
    // The progress tells the mean of the epoch so far.
    const double mean = now.loss * double(now.step);
    last = mean - sum;
    sum = mean;
    if (now.step == 1) first = last;
    if (now.step == 2) {  // buffers and primitives are warm
      profiler.emplace();
      start = Clock::now();
    }
  });
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  if (!std::isfinite(last) || last >= first) {
    fail(ErrorKind::kNumeric, "bench train: the loss of ", name, " went from ", first, " to ",
         last);
  }
  const double images_seen = double(n * options.steps);
  const nn::Cost cost = network.cost();
  // Forward, and a gradient for the input and the weights of nearly every product.
  const double gflops = images_seen * 3 * 2 * double(cost.macs) * 1e-9 / seconds;
  out << name << ": " << apps::fixed(images_seen / seconds, 0) << " images/s, "
      << apps::fixed(gflops, 1) << " GFLOP/s, batch " << n << ", " << context.threads()
      << " threads; loss " << apps::fixed(first, 3) << " to " << apps::fixed(last, 3) << "\n";

  out << apps::profile_table(*profiler, seconds, double(options.steps)) << std::endl;
}

}  // namespace

void bench_train(std::ostream& out, const TrainBenchOptions& options) {
  if (!options.model.empty()) return bench_one(out, options.model, options);
  for (const zoo::Variant& variant : zoo::catalog()) {
    if (variant.input == Shape{1, 28, 28}) bench_one(out, variant.name, options);
  }
}

}  // namespace kintsugi::bench
