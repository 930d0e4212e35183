// Training throughput of the small families, and where its time goes.
#pragma once

#include <ostream>
#include <string>

namespace kintsugi::bench {

struct TrainBenchOptions {
  std::string model;  // a name of the catalog; empty: every network for 28x28 images
  int64_t batch_size = 128;
  int64_t steps = 12;
};

// Steps of AdamW on one batch of noise with labels; verified: the loss is finite and falls.
void bench_train(std::ostream& out, const TrainBenchOptions& options);

}  // namespace kintsugi::bench
