// The rules of the stitch graph, for its solver and its checks. Internal.
#pragma once

#include <cmath>

#include "kintsugi/solvers/reassembly/graph.h"
#include "kintsugi/solvers/stitch_graph.h"

namespace kintsugi::solvers::stitch_graph {

// Of each network its position 0 among all positions; then how many there are.
inline std::vector<size_t> first_positions(const StitchGraphProblem& problem) {
  std::vector<size_t> first{0};
  for (const StitchNetwork& network : problem.networks) {
    first.push_back(first.back() + network.nodes.size() + 1);
  }
  return first;
}

// Whether leaving network j at position q for position p of network i is within the rules.
inline bool allowed(const StitchGraphProblem& problem, size_t j, size_t q, size_t i, size_t p) {
  const size_t from = problem.networks[j].nodes.size(), to = problem.networks[i].nodes.size();
  const double apart = std::abs(double(q) / double(from) - double(p) / double(to));
  return i != j && q >= 1 && p < to && apart <= problem.depth_slack + 1e-12;
}

// evaluate() of a problem that is known to be sound.
StitchedNetwork recompute(const StitchGraphProblem& problem, const std::vector<Block>& segments);

}  // namespace kintsugi::solvers::stitch_graph
