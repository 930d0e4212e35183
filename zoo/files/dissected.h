// A network as the files between the steps hold it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "kintsugi/nn/blocks/feature.h"
#include "kintsugi/nn/network.h"

namespace kintsugi::zoo {

// A network as the solvers see it: atomic nodes with costs and shapes.
struct DissectedModel {
  std::string name;          // no other model of the zoo has it
  std::string architecture;  // its name in the catalog
  std::filesystem::path weights;  // may be empty: then nothing can be assembled from it
  std::string sha256;             // of the weights
  std::string naming;             // as in their card
  std::string licence;            // SPDX, "" where unknown
  std::vector<std::string> nodes;
  std::vector<nn::Cost> costs;                 // per node
  std::vector<nn::FeatureShape> in, out;       // per node
  int64_t positions() const { return int64_t(nodes.size()) + 1; }
};

// Nodes first..last of a model, 1-based, inclusive.
struct BlockRange {
  std::string model;
  int64_t first = 0, last = 0;
  friend bool operator==(const BlockRange&, const BlockRange&) = default;
};

}  // namespace kintsugi::zoo
