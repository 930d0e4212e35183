// The partition of a zoo into equivalence sets.
#pragma once

#include "kintsugi/solvers/partition.h"
#include "kintsugi/zoo/files/partition_file.h"
#include "kintsugi/zoo/files/similarity_file.h"

namespace kintsugi::zoo {

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
