// PARTITION.json: where networks are cut, and which blocks do the same job.
// Reading checks all that the steps rely on: kFormat with the field's name. Another major version is
// refused, unknown fields are ignored, paths are relative to the file.
#pragma once

#include <optional>

#include "kintsugi/solvers/matrix.h"
#include "kintsugi/zoo/files/dissected.h"

namespace kintsugi::zoo {

struct PartitionFile {
  int64_t k = 0;
  double epsilon = 0;
  std::string size_bound = "ceil";
  std::string size = "nodes";  // what it bounds: "nodes", "params" or "macs"
  bool free_sets = false;      // a set may hold any block; else a network's blocks rise through them
  std::vector<DissectedModel> models;
  // Per model, rising positions, one fewer than its blocks: K-1, or fewer of a network of fewer.
  std::vector<std::vector<int64_t>> cuts;
  struct Set {
    BlockRange anchor;
    std::vector<BlockRange> blocks;
    std::vector<double> similarity;  // of each block to the anchor
  };
  std::vector<Set> sets;
  // (K-1, blocks of set k, blocks of set k+1): similarity of the left's output and the right's input.
  std::vector<solvers::Matrix> stitches;
  double objective = 0, bound = 0, gap = 0, seconds = 0;
  struct Heuristic {
    double objective = 0, seconds = 0;
  };
  std::optional<Heuristic> heuristic;  // the paper's, beside it
  // "dery": as the reference makes it. It has no bound (+infinity), its sets hold their centres a
  // second time, and what it breaks is counted here.
  std::string compat;
  struct Reference {
    double total = 0, best_total = 0;  // its own objective: of this partition, and the best it met
    int64_t cap = 0;                   // its one bound, in nodes
    int64_t over_size = 0;             // blocks above the contract's bound
    int64_t stale_centres = 0;         // that are no block of the partition
    int64_t overlaps = 0;              // pairs of entries of one network that share nodes
    double exact_objective = 0, exact_seconds = 0;  // within the rules
  };
  std::optional<Reference> reference;
};
PartitionFile read_partition(const std::filesystem::path& path);
void write_partition(const std::filesystem::path& path, const PartitionFile& file);
std::string partition_json(const PartitionFile& file);  // what `partition --json` prints

}  // namespace kintsugi::zoo
