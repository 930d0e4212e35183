// The stitch graph: partition and reassembly at once. No cuts are given: a network is made of runs
// of consecutive nodes of any networks, with at most S stitches between them.
//
//   which such networks does no other beat in the objective and in every cost?
//
// Position p of a network of L nodes is the output of its node p, 0 the input of its first node, as
// in partition.h. A path starts with the stem and node 1 of some network, goes on from node to
// node, leaves at a position q >= 1 of one network for a position p < L of another where
// |q / L - p / L'| is within the slack, and ends with the last node of some network and its head. A
// node that occurs twice is paid for twice. Objectives that differ by rounding are different.
#pragma once

#include "kintsugi/solvers/partition.h"
#include "kintsugi/solvers/reassembly.h"

namespace kintsugi::solvers {

struct AtomicNode {
  double value = 0;
  std::vector<double> cost = {};  // one per resource, finite, >= 0
};

struct StitchNetwork {
  std::string name = {};
  std::vector<AtomicNode> nodes = {};
  std::vector<double> stem_cost = {};  // empty: none
  std::vector<double> head_cost = {};
  bool starts = true;  // a path may begin with it
};

struct StitchGraphProblem {
  std::vector<Resource> resources;  // the costs of the front; at least one
  std::vector<StitchNetwork> networks;
  // Square over all positions of all networks in order: leaving at the row, entering at the column.
  // Only what the rules above allow is looked at.
  Matrix stitch_value;              // -infinity: not possible
  std::vector<Matrix> stitch_cost;  // one per resource
  size_t max_stitches = 3;          // S
  size_t min_stitches = 0;
  double depth_slack = 0.10;
};

struct StitchedNetwork {
  std::vector<Block> segments;
  double objective = 0;      // sum of the values of nodes and stitches
  std::vector<double> cost;  // one per resource: stem, nodes, stitches and head
};

struct StitchGraphResult {
  std::vector<StitchedNetwork> front;  // one for each point, best objective first
  bool complete = false;               // nothing is missing and nothing is beaten
  double bound = 0;                    // no network has a greater objective
  double gap = 0;                      // of the first one's objective to the bound; complete: 0
  double seconds = 0;
  uint64_t labels = 0;
  size_t stitches = 0;           // pairs of positions that can be stitched
  std::string reason;            // if the front is empty: the least of each cost
  std::vector<Remedy> remedies;  // then, of every budget, others as they are
};

// kUsage, kShape or kNumeric if the problem is malformed; kInfeasible if stitches are allowed and
// none is possible.
void validate(const StitchGraphProblem& problem);

// Objective and costs, recomputed from the data. kUsage if the segments break a rule or a budget.
StitchedNetwork evaluate(const StitchGraphProblem& problem, const std::vector<Block>& segments);

// The Pareto front by label setting with dominance. Out of time or stopped: networks of which none
// found beats another, not complete; with none: throws kInterrupted.
StitchGraphResult stitch_front(const StitchGraphProblem& problem, const Control& control = {});

}  // namespace kintsugi::solvers
