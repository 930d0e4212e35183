// The partition of a zoo into equivalence sets.
#pragma once

#include "kintsugi/solvers/partition.h"
#include "kintsugi/zoo/files/partition_file.h"
#include "kintsugi/zoo/files/similarity_file.h"

namespace kintsugi::zoo {

// What a block's size counts: "nodes", "params" or "macs".
enum class BlockSize { kNodes, kParams, kMacs };
const char* to_string(BlockSize size);
BlockSize parse_block_size(const std::string& name);

struct PartitionOptions {
  int64_t k = 4;
  double epsilon = 0.2;
  solvers::SizeBound size_bound = solvers::SizeBound::kCeil;
  BlockSize size = BlockSize::kNodes;
  bool free_sets = false;
  // Networks by name. A place to cut is "NAME:PLACE": after node number PLACE, or the node of that
  // name. A count is "NAME=BLOCKS".
  std::vector<std::string> blocks = {};        // counts of networks of fewer than K blocks
  std::vector<std::string> must_cut = {};      // places
  std::vector<std::string> must_not_cut = {};  // places
  std::vector<std::string> anchors_from = {};  // no other network gives an anchor; empty: all may
  std::vector<std::string> forced = {};        // each gives at least one anchor
  std::vector<std::string> forbidden = {};     // left out of the partition
  solvers::PartitionSolver solver = solvers::PartitionSolver::kOwn;
  bool dery = false;    // as the reference makes it, faults included; the exact one's worth beside it
  int64_t trials = 200;  // of the reference
  bool heuristic = true;  // also run the paper's swap heuristic, to show beside
  uint64_t seed = 0;
};

// The networks that are not forbidden, and the problem that the rest of the options pose on them.
// kUsage: a name that is not there (with the nearest that is), a place that is none.
SimilarityFile without_forbidden(const SimilarityFile& similarity, const PartitionOptions& options);
solvers::PartitionProblem partition_problem(const SimilarityFile& kept,
                                            const PartitionOptions& options);

PartitionFile partition_zoo(const SimilarityFile& similarity, const PartitionOptions& options,
                            const solvers::Control& control = {});

}  // namespace kintsugi::zoo
