// Networks with weights.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "kintsugi/nn/network.h"
#include "kintsugi/zoo/card.h"
#include "kintsugi/zoo/weights/checkpoint.h"

namespace kintsugi::zoo {

struct LoadedNetwork {
  std::shared_ptr<nn::Network> network;
  Card card;
};

struct LoadOptions {
  int64_t classes = 0;  // other than the file's: the classifier is left at its initial values
  int64_t channels =
      0;  // other than the file's: the first kernels are summed or repeated, as timm does
  Shape size = {};     // (H,W) other than the card's: what depends on it is resampled; rank 0: the card's
  uint64_t seed = 0;  // of a new classifier
  double drop_path = 0;
};

// `weights`: a file of any format that read_weights takes, a hub folder, or (without a model) a
// PLAN.json. `model`: a name of the
// catalog, or "" to take the card's. Strict: everything that does not fit is listed at once. A card
// (a hub folder's config.json is one) sets classes and preprocessing; 0 classes in it: the network
// has no classifier, and its output is what one would see.
LoadedNetwork load_network(const std::string& model, const std::filesystem::path& weights,
                           const LoadOptions& options = {});

// A network of the catalog with initial weights.
LoadedNetwork fresh_network(const std::string& model, const BuildOptions& options, uint64_t seed);

// What `inspect` takes: a catalog name (shape-only weights), a weights file with a card, a hub
// folder or a PLAN.json. Not materialised where only shapes are asked for.
LoadedNetwork open_network(const std::string& what, const LoadOptions& options = {});

// Weights with the card, atomically.
void save_network(const std::filesystem::path& path, const nn::Network& network, const Card& card);

}  // namespace kintsugi::zoo
