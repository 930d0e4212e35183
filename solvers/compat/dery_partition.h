// The partition as DeRy's published code makes it, faults included, to stand beside the exact one
// (described, not copied: that code carries no licence).
//
//   - One size bound, ceil(L / K) * (1 + epsilon) cut to a whole number, of the zoo's last network,
//     for all networks. First cuts are drawn without it, from 1 to L - 2.
//   - A node moves across a border if the block that gives it is within the bound; the one that
//     takes it may grow without end.
//   - Blocks of different stage index are not alike at all (0), a block is like itself by 1 where
//     two different ones may reach 2, and a block's "input" is the output of its first node.
//   - What is counted is the sum over all pairs within a set, not the likeness to its centre.
//   - Each set holds its centre a second time, as it was when it was chosen: it may be a block that
//     is in no network's partition any more.
//   - A trial ends after 21 rounds that do not beat the best of all trials, whatever it gained in
//     between; the best is remembered by reference, so that it is the state in which its trial ended.
//
// Where the description is silent: the centres of a trial are the K blocks of one random network.
#pragma once

#include "kintsugi/solvers/partition.h"

namespace kintsugi::solvers::compat {

struct StagedBlock {
  Block block;
  size_t stage = 0;  // its number among its network's blocks
  friend bool operator==(const StagedBlock&, const StagedBlock&) = default;
};

struct DeryPartition {
  std::vector<std::vector<size_t>> cuts;  // per network, K - 1
  std::vector<StagedBlock> centres;       // K
  // Each set's entries: its centre, then the blocks that are most like it.
  std::vector<std::vector<StagedBlock>> sets;
  double total = 0;       // its own objective, of what it returns
  double best_total = 0;  // and the greatest that it met
  size_t cap = 0;         // its size bound
  double seconds = 0;
  // The problem's rules that it breaks.
  size_t over_size = 0;      // blocks above the problem's own bound for their network
  size_t stale_centres = 0;  // that are no block of the partition
  size_t overlaps = 0;       // pairs of different entries, of one network, that share nodes
};

// Takes epsilon and K of the problem; kUsage where a network has fewer than K + 1 nodes, or where
// the problem has rules that the reference does not know (sizes, block counts, cuts, anchors).
// `control` ends it between trials.
DeryPartition dery_partition(const PartitionProblem& problem, size_t trials = 200,
                             uint64_t seed = 0, const Control& control = {});

}  // namespace kintsugi::solvers::compat
