// Networks run for what only a run tells: time and memory. Weights are initial ones; neither
// depends on their values.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "kintsugi/nn/network.h"

namespace kintsugi::zoo {

// A network and what flows through it, its class token included.
struct Rehearsal {
  std::shared_ptr<nn::Network> network;
  Tensor images;
  std::vector<Tensor> features;  // at every position

  // What node index + 1 is given: home, or behind a stitch, where it has no prefix tokens.
  Tensor input_of(size_t index, bool home) const;
};
// Initialises the network.
Rehearsal rehearse(std::shared_ptr<nn::Network> network, int64_t batch_size);

// Noise of a feature's shape, as stitches and heads find it in memory.
Tensor noise(const nn::FeatureShape& shape, int64_t batch_size);

// The most bytes that live while the module runs, its weights left out, its input counted if asked.
int64_t peak_bytes(nn::Module& module, const Tensor& input, bool count_input = true);

// Appends the milliseconds of at least so many runs, after some that warm caches.
void time_runs(const std::function<void()>& run, size_t least, std::vector<double>& milliseconds);
double median(std::vector<double> values);

}  // namespace kintsugi::zoo
