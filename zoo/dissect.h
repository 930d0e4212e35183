// Taking networks apart: their nodes with costs, the similarity of all their positions, the partition.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <vector>

#include "kintsugi/solvers/partition.h"
#include "kintsugi/solvers/similarity.h"
#include "kintsugi/zoo/datasets/dataset.h"
#include "kintsugi/zoo/datasets/loader.h"
#include "kintsugi/zoo/files.h"
#include "kintsugi/zoo/load.h"

namespace kintsugi::zoo {

// Nodes, costs and shapes of a network; `name` as in the later files.
DissectedModel dissect(const std::string& name, nn::Network& network);

struct ZooMember {
  std::string name;
  std::filesystem::path weights;
  std::string licence;
  LoadedNetwork loaded;
};
// All networks of a zoo with weights. A zoo of one, or a name twice, is an Error.
std::vector<ZooMember> load_zoo(const ZooFile& zoo);

// How a loader must yield pixels for a network of this input and preprocessing.
LoaderOptions loader_options(const Shape& input, const Preprocessing& preprocessing,
                             int64_t batch_size);
// The first `images` indices (at most) of the data set's order under a seed.
std::vector<int64_t> seeded_images(const std::shared_ptr<const Dataset>& data, int64_t images,
                                   uint64_t seed);

struct SimilarityOptions {
  int64_t images = 2048;     // at most; the first of the seeded order
  int64_t batch_size = 256;  // of the estimator
  uint64_t seed = 0;
  solvers::CkaOptions cka = {};
};
// Every network sees the same images under its own input size and normalisation, in evaluation mode.
SimilarityFile similarity_of(std::vector<ZooMember>& members, std::shared_ptr<const Dataset> data,
                             const SimilarityOptions& options,
                             const std::function<void(double)>& progress = {},
                             std::stop_token stop = {});

struct PartitionOptions {
  int64_t k = 4;
  double epsilon = 0.2;
  solvers::SizeBound size_bound = solvers::SizeBound::kCeil;
  bool heuristic = true;  // also run the paper's swap heuristic, to show beside
  uint64_t seed = 0;
};
PartitionFile partition_zoo(const SimilarityFile& similarity, const PartitionOptions& options,
                            const solvers::Control& control = {});

}  // namespace kintsugi::zoo
