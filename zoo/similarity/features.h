// Features of a network at its positions, as rows that a similarity compares.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <vector>

#include "kintsugi/zoo/dissect.h"

namespace kintsugi::zoo {

struct FeatureOptions {
  // 0: one row an image, the mean over the grid or over all tokens (DeRy's). Else so many rows an
  // image: pixels or tokens at places drawn at random in [0,1)^2, the same for all positions of all
  // networks, so that rows correspond whatever the resolution. Prefix tokens have no place.
  int64_t tokens = 0;
  uint64_t seed = 0;  // of the places; they depend on it and on the image's index alone
  int64_t rows(int64_t images) const { return images * std::max<int64_t>(1, tokens); }
};

// The features of `images` at some positions of a network (in that order), in evaluation mode:
// (rows, channels), f32, on the device that runs the network. `progress` is told the images done.
// kInterrupted on a stop.
std::vector<Tensor> features_of(ZooMember& member, const Loader& loader,
                                std::span<const int64_t> images, std::span<const int64_t> positions,
                                const FeatureOptions& options,
                                const std::function<void(int64_t)>& progress = {},
                                std::stop_token stop = {});

}  // namespace kintsugi::zoo
