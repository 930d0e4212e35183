// The similarity of all positions of a zoo.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <utility>
#include <vector>

#include "kintsugi/solvers/subspaces.h"
#include "kintsugi/zoo/dissect.h"
#include "kintsugi/zoo/files/partition_file.h"
#include "kintsugi/zoo/files/similarity_file.h"

namespace kintsugi::zoo {

enum class SimilarityCompat {
  kNone,
  // As DeRy's code measures CKA: all images in the data set's order but the last, batches of 2048,
  // a short last one weighing as much as the others; outputs of nodes only. Position 0, of which it
  // has nothing, is given what position 1 has: the reference takes the output of a block's first
  // node for its input.
  kDery,
};

struct SimilarityOptions {
  Metric metric = Metric::kLinearCka;
  SimilarityCompat compat = SimilarityCompat::kNone;
  int64_t images = 0;      // at most, the first of the seeded order; 0: 2048 (dery: all)
  int64_t batch_size = 0;  // images of a batch of a CKA; 0: 256 (dery: 2048)
  uint64_t seed = 0;
  int64_t tokens = 0;  // sampled of each image (FeatureOptions); 0: features are pooled
  // Of linear regression, CCA and SVCCA; a CKA has none. Its seed is the seed above.
  solvers::Projection projection = {};
  double ridge = 1e-6;  // of linear regression
  // Pairs of positions to measure once more without the projection.
  std::vector<std::pair<int64_t, int64_t>> exact = {};
  std::filesystem::path cache = {};       // a folder; empty: nothing is kept
  int64_t max_memory = int64_t{8} << 30;  // bytes; kUsage where more would be needed
};

struct SimilarityCost {
  int64_t positions = 0;
  // Bytes that the features and what is made of them take at their height, where networks run.
  int64_t memory = 0;
  int64_t cache = 0;  // bytes of all files of the cache, at most
  int64_t cache_files = 0;
};
// Beforehand, from shapes alone; `images` are in the data set.
SimilarityCost similarity_cost(const std::vector<ZooMember>& members, int64_t images,
                               const SimilarityOptions& options);

// Every network sees the same images under its own input size and normalisation, in evaluation
// mode. The same bits with a cache and without, also after a stop. `say` is told what it is going
// to take, and of files of the cache that had to be made anew. kUsage for options that do not go
// together; kInterrupted on a stop: what is in the cache by then stays.
SimilarityFile similarity_of(std::vector<ZooMember>& members, std::shared_ptr<const Dataset> data,
                             const SimilarityOptions& options,
                             const std::function<void(double)>& progress = {},
                             std::stop_token stop = {},
                             const std::function<void(const std::string&)>& say = {});

// The pairs of positions that a partition of these networks looks at: inputs and outputs of every
// block and its anchor, and both sides of every stitch. kFormat where it is one of other networks.
std::vector<std::pair<int64_t, int64_t>> pairs_of(const PartitionFile& partition,
                                                  const std::vector<ZooMember>& members);

}  // namespace kintsugi::zoo
