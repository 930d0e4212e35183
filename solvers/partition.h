// Partition of a zoo into K equivalence sets of blocks: every network is cut into runs of consecutive
// nodes, and each set has one of its blocks for an anchor.
//
//   maximise  sum over all blocks b, anchors too, of S(b, anchor of b's set)
//   S(b, b') = s(in of b, in of b') + s(out of b, out of b')
//
// Tied to stages, a network's blocks stand in rising sets: where it has K of them, set k holds its
// k-th. Free, every block stands in the set whose anchor it is most like.
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
  kCeil,    // a block's size is at most ceil((1 + epsilon) L / K - 1e-9)
  kStrict,  // the paper's: less than (1 + epsilon) L / K
};

// A place to cut: after node `at` of a network, 1 to L - 1.
struct CutPoint {
  size_t model = 0;
  size_t at = 0;
  friend bool operator==(const CutPoint&, const CutPoint&) = default;
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
  // What each node adds to its block's size (parameters, MACs): whole numbers; the bound's L is
  // then their sum over the network. Empty: every node counts 1.
  std::vector<std::vector<double>> sizes;
  // Blocks of each network, 1 to K, the bound's K for it; empty: K each. Which of the sets a
  // network of fewer takes part in is for the answer to say.
  std::vector<size_t> blocks;
  std::vector<CutPoint> must_cut;      // places that must be cut
  std::vector<CutPoint> must_not_cut;  // places that must not be
  std::vector<size_t> anchors_from;    // networks that may give anchors; empty: all
  std::vector<size_t> forced;          // networks of which each gives at least one anchor
  bool free_sets = false;
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
  std::vector<std::vector<size_t>> cuts;    // per network, rising, one fewer than its blocks
  std::vector<std::vector<size_t>> set_of;  // per network, the set of each of its blocks
  std::vector<Block> anchors;               // K, each a block of its set
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

// Block b (0-based, by depth) of a network under a partition.
Block block_of(const PartitionProblem& problem, const Partition& partition, size_t model, size_t b);

// s(in, in') + s(out, out').
double block_similarity(const PartitionProblem& problem, const Block& block, const Block& anchor);

// The greatest size that a block may have of a network of this size in so many blocks.
double block_cap(double size, size_t blocks, double epsilon, SizeBound bound);

// Throws unless the problem is well formed and every network has a partition: kUsage (fewer than
// two networks, K = 0, K above a network's nodes, epsilon, rules that contradict each other),
// kShape (the matrix), kNumeric (its values), kInfeasible (epsilon too small for a network: names
// it and the smallest epsilon that would do).
void validate(const PartitionProblem& problem);

// In how many ways each network can be cut (saturating at 2^64 - 1): 1 means that the rules decide
// it.
std::vector<uint64_t> count_partitions(const PartitionProblem& problem);

// The objective, recomputed from cuts, sets and anchors alone. kUsage if they break a rule.
double evaluate(const PartitionProblem& problem, const Partition& partition);

enum class PartitionSolver {
  kOwn,         // branch and bound under Lagrangian bounds
  kGlpk,        // a mixed-integer programme for GLPK, a second opinion on small zoos; kMissing where
                // it is not built in, kUsage beyond what it can do
  kExhaustive,  // every partition: the oracle for tiny problems; kUsage above 10^8 cases
};
PartitionSolver parse_partition_solver(const std::string& name);  // "own", "glpk", "exhaustive"

bool has_partition_solver(PartitionSolver solver);

struct PartitionOptions {
  PartitionSolver solver = PartitionSolver::kOwn;
  size_t restarts = 20;  // starts of k-means that the own solver begins with
  uint64_t seed = 0;
};

// Optimal, up to 1e-10 relative (GLPK: 1e-7). Out of time or stopped: the best found, with the
// least bound proven; kInterrupted with nothing in hand. kInfeasible where no choice of anchors
// obeys the rules.
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

}  // namespace kintsugi::solvers
