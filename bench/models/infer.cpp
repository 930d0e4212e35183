#include "bench/models/infer.h"

#include <cmath>

#include "bench/bench.h"
#include "kintsugi/apps/text.h"
#include "kintsugi/engine/core/context.h"
#include "kintsugi/nn/fold.h"
#include "kintsugi/nn/replayed_forward.h"
#include "kintsugi/zoo/load.h"

namespace kintsugi::bench {

namespace {

void bench_one(std::ostream& out, const std::string& name, const InferBenchOptions& options,
               double gflops) {
  const zoo::LoadedNetwork built = zoo::fresh_network(name, {}, 1);
  const zoo::LoadedNetwork folded = zoo::fresh_network(name, {}, 1);
  built.network->train(false);
  const nn::Folded count = nn::fold_into_convolutions(*folded.network);

  Shape shape = built.network->input();
  shape.insert(0, options.batch_size);
  Tensor noise = Tensor::empty(shape, DType::kF32, kCpu, MemoryFormat::kChannelsLast);
  Generator(2).normal(noise, 0, 1);
  const Tensor images = noise.to(Context::current().device);
  nn::ReplayedForward forwards[] = {nn::ReplayedForward(*built.network),
                                    nn::ReplayedForward(*folded.network)};
  std::vector<float> logits[2];
  std::vector<std::function<void()>> candidates;
  for (size_t i = 0; i < 2; ++i) {
    candidates.push_back([&, i] { logits[i] = forwards[i](images).to_vector<float>(); });
  }
  const std::vector<double> seconds = best_of(options.min_seconds, candidates);

  float error = 0, largest = 0;
  for (size_t i = 0; i < logits[0].size(); ++i) {
    error = std::max(error, std::abs(logits[0][i] - logits[1][i]));
    largest = std::max(largest, std::abs(logits[0][i]));
  }
  const bool exact = Context::current().math == Math::kF32;
  if (!(error <= (exact ? 1e-4f : 5e-2f) * largest)) {
    fail(ErrorKind::kNumeric, "bench infer: folded, the logits of ", name, " are off by ", error,
         " of ", largest);
  }
  const double work = 2e-9 * double(built.network->cost().macs * options.batch_size);
  const double best = std::min(seconds[0], seconds[1]);
  out << name << ": " << apps::fixed(seconds[0] * 1e3, 1) << " ms as built, "
      << apps::fixed(seconds[1] * 1e3, 1) << " ms with " << count.norms << " norms and "
      << count.relus << " ReLUs folded, ratio " << apps::fixed(seconds[0] / seconds[1], 2) << "; "
      << apps::fixed(work / best, 1) << " GFLOP/s";
  if (Context::current().device == kCpu) {
    out << ", " << apps::fixed(100 * work / best / gflops, 0) << " % of the ceiling";
  }
  out << std::endl;
}

}  // namespace

void bench_infer(std::ostream& out, const InferBenchOptions& options, double gflops) {
  for (const std::string& name : options.models) bench_one(out, name, options, gflops);
}

}  // namespace kintsugi::bench
