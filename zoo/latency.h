// The latency table of a partition on this machine: every part measured by itself at its real
// shape, the sum corrected by whole assemblies.
#pragma once

#include <functional>
#include <stop_token>

#include "kintsugi/nn/blocks/stitch.h"
#include "kintsugi/zoo/files/latency_file.h"
#include "kintsugi/zoo/files/partition_file.h"

namespace kintsugi::zoo {

struct LatencyOptions {
  int64_t batch_size = 1;
  nn::StitchForm form = nn::StitchForm::kLinear;
  bool fresh_head = false;
  int64_t classes = 0;      // 0: the zoo's
  int64_t assemblies = 12;  // measured whole to fit the correction, and as many others to check it
  uint64_t seed = 0;
};

// Each the median of at least 30 runs, spread over passes through everything, so that a machine
// that slows down for a while slows all parts alike; equal shapes are measured once. Weights are
// initial ones.
LatencyFile measure_latency(const PartitionFile& partition, const LatencyOptions& options,
                            const std::function<void(double)>& progress = {},
                            std::stop_token stop = {});

// The constant and the factor, neither negative, of the least relative error; and over `checked`
// the median and the greatest.
void correct(LatencyFile& file);

}  // namespace kintsugi::zoo
