#include <iostream>

#include "bench/bench.h"
#include "bench/ceilings.h"
#include "bench/models/train.h"
#include "kintsugi/apps/session.h"
#include "kintsugi/engine/core/context.h"

namespace {

using namespace kintsugi;
using apps::Session;

void print_ceilings() {
  const int threads = Context::current().threads();
  bench::print(std::cout, bench::measure_ceilings(threads), threads);
}

int conv(Session& session) {
  bench::BenchOptions options;
  if (!session.parse("Convolutions beside oneDNN alone on the same data.",
                     {{"--filter", &options.filter, "only rows whose name contains it"},
                      {"--seconds", &options.min_seconds, "measured for each row", "Options", false,
                       0.001}})) {
    return 0;
  }
  print_ceilings();
  bench::bench_conv(std::cout, options);
  return 0;
}

int train(Session& session) {
  bench::TrainBenchOptions options;
  if (!session.parse(
          "Training throughput of the small networks, and where its time goes.",
          {{"--model", &options.model, "a catalog name (default: all for 28x28 images)"},
           {"--batch-size", &options.batch_size, "images of a step", "Options", false, 1},
           {"--steps", &options.steps, "that are measured", "Options", false, 1}})) {
    return 0;
  }
  print_ceilings();
  bench::bench_train(std::cout, options);
  return 0;
}

int ceilings(Session& session) {
  if (!session.parse("What this machine can do at most.", {})) return 0;
  print_ceilings();
  return 0;
}

constexpr apps::Command kBenches[] = {
    {"ceilings", "multiply-adds and memory bandwidth of this machine", ceilings},
    {"conv", "convolutions, beside oneDNN alone", conv},
    {"train", "training of the small networks, by operator", train},
};

}  // namespace

int main(int argc, char** argv) {
  return apps::run_command_line(
      {"kintsugi bench",
       "Benchmarks that verify what they measure, beside this machine's ceilings."},
      kBenches, argc, argv);
}
