// Inference of whole networks: as they are built, and with what follows convolutions folded in.
#pragma once

#include <ostream>
#include <string>
#include <vector>

namespace kintsugi::bench {

struct InferBenchOptions {
  std::vector<std::string> models = {"resnet50", "vit_small_patch16_224", "convnext_tiny",
                                     "caformer_s18"};
  int64_t batch_size = 1;
  double min_seconds = 3;  // measured for each network
};

// `gflops` is what this machine can do at most. Verified: both forms have the same logits.
void bench_infer(std::ostream& out, const InferBenchOptions& options, double gflops);

}  // namespace kintsugi::bench
