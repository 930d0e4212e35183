// The reassembly problem as a layered graph with additive costs, for the solvers. Internal.
#pragma once

#include <algorithm>

#include "kintsugi/solvers/clock.h"
#include "kintsugi/solvers/matrix.h"
#include "kintsugi/solvers/reassembly.h"

namespace kintsugi::solvers::reassembly {

inline constexpr double kNever = -std::numeric_limits<double>::infinity();
inline constexpr double kUnlimited = std::numeric_limits<double>::infinity();

using Path = std::vector<size_t>;  // one node of each stage

struct Node {
  size_t candidate;  // its index in the problem's stage
  size_t model;
  size_t source;  // the checkpoint
  size_t block;   // the same number in the same stage: the same block
  double value;
  std::vector<double> cost;  // stem and head included where they fall to it
};

// At most `most` blocks in common with `path`.
struct NoGood {
  Path path;
  size_t most;
};

struct Graph {
  std::vector<std::vector<Node>> nodes;
  std::vector<Matrix> arc_value;              // [k](left, right); kNever: no arc
  std::vector<std::vector<double>> arc_cost;  // [k](left, right, resource)
  std::vector<double> budget;  // of a peak unlimited: what exceeds it alone is gone already
  std::vector<char> peak;
  size_t models = 0;
  size_t sources = 0;
  size_t max_per_model = 1;
  size_t min_models = 1;
  size_t max_sources = 1;
  std::vector<NoGood> no_goods;

  size_t stages() const { return nodes.size(); }
  size_t resources() const { return budget.size(); }
  const double* costs(size_t k, size_t left, size_t right) const {
    return arc_cost[k].data() + (left * nodes[k + 1].size() + right) * resources();
  }
  bool same_block(size_t k, size_t a, size_t b) const {
    return nodes[k][a].block == nodes[k][b].block;
  }
  bool few_sources() const { return max_sources < stages(); }  // the limit may bind
  double joined(size_t resource, double a, double b) const {
    return peak[resource] ? std::max(a, b) : a + b;
  }
  // Rounding must not throw out what lies on the budget; below half a unit up to 10^14.
  static bool within(double cost, double budget) {
    return cost <= budget + 4e-15 * (budget < kUnlimited ? budget : 0);
  }
  double value_of(const Path& path) const;  // kNever where an arc is missing
  std::vector<double> cost_of(const Path& path) const;
  bool admits(const Path& path) const;  // every rule and budget
};

// Forbidden candidates are gone, those of other licences and above a peak's budget, all beside a
// forced one, and the arcs that the order rule or a peak's budget refuses.
Graph make_graph(const ReassemblyProblem& problem);

struct Answer {
  enum class Status { kOptimal, kFeasible, kInfeasible, kUnknown } status = Status::kUnknown;
  Path path;
  double objective = kNever;
  double bound = kUnlimited;
  uint64_t work = 0;
};

Answer solve_labels(const Graph& graph, const Clock& clock);
// Any path at all: kFeasible with one, kInfeasible, or kUnknown.
Answer any_path(const Graph& graph, const Clock& clock);
Answer solve_glpk(const Graph& graph, const Clock& clock);
Answer solve_exhaustive(const Graph& graph, const Clock& clock);

// [stage](node, resource): the least that any ending of a node costs; kUnlimited: it has none.
std::vector<Matrix> least_endings(const Graph& graph);
// [stage][network]: how many later stages have a candidate of it.
std::vector<std::vector<size_t>> later_stages(const Graph& graph);

// evaluate() of a problem that is known to be sound.
Assembly recompute(const ReassemblyProblem& problem, const std::vector<size_t>& chosen);
std::string candidate_name(const ReassemblyProblem& problem, size_t stage, size_t index);

struct Explanation {
  std::string reason;
  std::vector<Remedy> remedies;
};
// Why a problem has no answer, and what would help.
Explanation explain(const ReassemblyProblem& problem, const Clock& clock);

// The nodes that a label of stage k was made of; layers[k].node and .parent are by label.
template <class Layers>
Path trace(const Layers& layers, size_t k, size_t label) {
  Path path(k + 1);
  for (;; --k) {
    path[k] = layers[k].node[label];
    label = layers[k].parent[label];
    if (k == 0) return path;
  }
}

}  // namespace kintsugi::solvers::reassembly
