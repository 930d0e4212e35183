// Partition of a zoo into K equivalence sets of blocks, stage-tied: every network is cut into K
// runs of consecutive nodes, set k holds the k-th run of each, one of them its anchor.
//
//   maximise  sum over all blocks b, anchors too, of S(b, anchor of b's set)
//   S(b, b') = s(in of b, in of b') + s(out of b, out of b')
//
// (DeRy, arXiv 2210.17409, eq. 2-5, with the inputs of blocks as the paper defines them.)
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "kintsugi/solvers/control.h"
#include "kintsugi/solvers/matrix.h"

namespace kintsugi::solvers {

enum class SizeBound {
  kCeil,    // a block has at most ceil((1 + epsilon) L / K - 1e-9) nodes
  kStrict,  // the paper's: fewer than (1 + epsilon) L / K
};

struct PartitionProblem {
  std::vector<size_t> nodes;       // L of each network: its atomic nodes
  std::vector<std::string> names;  // for messages; empty: "network 0", ...
  // Square over all positions of all networks in order; a network of L nodes has L + 1 positions,
  // 0 the input of its first node and p the output of node p. Row: the block's side, column: the
  // anchor's (a symmetric matrix has no such sides). Values in [-1, 1].
  Matrix similarity;
  size_t sets = 4;  // K
  double epsilon = 0.2;
  SizeBound size_bound = SizeBound::kCeil;
};

// A run of nodes of one network; 1-based, both ends inclusive. Its input is at position first - 1,
// its output at position last.
struct Block {
  size_t model = 0;
  size_t first = 0;
  size_t last = 0;
  friend bool operator==(const Block&, const Block&) = default;
};

struct Partition {
  std::vector<std::vector<size_t>> cuts;  // per network, K - 1 positions, rising
  std::vector<Block> anchors;             // K; anchor k is block k of its network
  double objective = 0;
};

struct PartitionResult {
  Partition best;
  double bound = 0;  // no partition has a greater objective
  double gap = 0;    // (bound - objective) / max(1e-12, |objective|); proven optimal: 0
  double seconds = 0;
  uint64_t nodes = 0;  // search nodes, or restarts of a heuristic
  bool optimal = false;
};

// Block k (0-based) of a network under a partition.
Block block_of(const PartitionProblem& problem, const Partition& partition, size_t model, size_t k);

// s(in, in') + s(out, out').
double block_similarity(const PartitionProblem& problem, const Block& block, const Block& anchor);

// The most nodes that a block of a network of `nodes` nodes may have.
size_t block_cap(size_t nodes, size_t sets, double epsilon, SizeBound bound);

// Throws unless the problem is well formed and every network has a partition: kUsage (fewer than
// two networks, K = 0, K above a network's nodes, epsilon), kShape (the matrix), kNumeric (its
// values), kInfeasible (epsilon too small for a network: names it and the smallest epsilon that
// would do).
void validate(const PartitionProblem& problem);

// How many partitions each network has (saturating at 2^64 - 1): 1 means that epsilon decides it.
std::vector<uint64_t> count_partitions(const PartitionProblem& problem);

// The objective, recomputed from the cuts and anchors alone. kUsage if they break a rule.
double evaluate(const PartitionProblem& problem, const Partition& partition);

// Optimal, up to 1e-10 relative: Lagrangian bounds, then branch and bound over anchors with a
// dynamic programme per network, from `restarts` starts of lloyd_partition.
// Out of time or stopped: the best found, with the least bound proven.
struct PartitionOptions {
  size_t restarts = 20;
  uint64_t seed = 0;
};
PartitionResult exact_partition(const PartitionProblem& problem,
                                const PartitionOptions& options = {}, const Control& control = {});

// K-means with an exact inner step: anchors fixed, each network's best cuts by dynamic programming;
// cuts fixed, each set's best anchor; until nothing improves. Best of `restarts`. bound is
// +infinity.
PartitionResult lloyd_partition(const PartitionProblem& problem, size_t restarts = 200,
                                uint64_t seed = 0, const Control& control = {});

// The paper's heuristic (section 3.2) with its faults mended: random cuts within the cap, single
// nodes moved across borders, anchors re-chosen among the blocks that exist. Best of `restarts`.
PartitionResult swap_partition(const PartitionProblem& problem, size_t restarts = 200,
                               uint64_t seed = 0, const Control& control = {});

// Every partition with every choice of anchors: the oracle for tiny problems. kUsage above 10^8
// cases.
PartitionResult exhaustive_partition(const PartitionProblem& problem);

}  // namespace kintsugi::solvers
