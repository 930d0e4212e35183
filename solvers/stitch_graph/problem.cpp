#include <algorithm>
#include <cmath>

#include "kintsugi/engine/core/error.h"
#include "kintsugi/solvers/stitch_graph/graph.h"

namespace kintsugi::solvers {

namespace {

using stitch_graph::allowed;
using stitch_graph::first_positions;

std::string name_of(const StitchGraphProblem& problem, size_t network) {
  const std::string& name = problem.networks[network].name;
  return name.empty() ? "network " + std::to_string(network) : name;
}

void check_costs(const std::vector<double>& cost, size_t resources, bool may_be_empty,
                 const std::string& who) {
  if (cost.empty() && may_be_empty) return;
  if (cost.size() != resources) {
    fail(ErrorKind::kShape, "stitch graph: ", who, " has ", cost.size(), " costs for ", resources,
         " resources");
  }
  for (const double c : cost) {
    if (!(c >= 0) || std::isinf(c)) {
      fail(ErrorKind::kUsage, "stitch graph: a cost of ", who, " is ", c, ", expected 0 or more");
    }
  }
}

void check_square(const Matrix& matrix, size_t positions, const std::string& who) {
  if (matrix.rows != positions || matrix.cols != positions ||
      matrix.values.size() != positions * positions) {
    fail(ErrorKind::kShape, "stitch graph: the ", who, " of stitches are ", matrix.rows, " by ",
         matrix.cols, ", expected ", positions, " by ", positions);
  }
}

}  // namespace

void validate(const StitchGraphProblem& problem) {
  const size_t resources = problem.resources.size(), networks = problem.networks.size();
  if (networks == 0) fail(ErrorKind::kUsage, "stitch graph: no networks");
  if (resources == 0) fail(ErrorKind::kUsage, "stitch graph: no resource to minimise");
  for (const Resource& r : problem.resources) {
    if (!(r.budget >= 0)) {
      fail(ErrorKind::kUsage, "stitch graph: the budget of ", r.name, " is ", r.budget,
           ", expected 0 or more");
    }
  }
  if (!(problem.depth_slack >= 0)) {
    fail(ErrorKind::kUsage, "stitch graph: the depth slack is ", problem.depth_slack,
         ", expected 0 or more");
  }
  if (problem.max_stitches > 64) {
    fail(ErrorKind::kUsage, "stitch graph: ", problem.max_stitches, " stitches, expected 0 to 64");
  }
  if (problem.min_stitches > problem.max_stitches) {
    fail(ErrorKind::kUsage, "stitch graph: at least ", problem.min_stitches,
         " stitches, but at most ", problem.max_stitches);
  }
  for (size_t i = 0; i < networks; ++i) {
    const StitchNetwork& network = problem.networks[i];
    const std::string name = name_of(problem, i);
    if (network.nodes.empty()) fail(ErrorKind::kUsage, "stitch graph: ", name, " has no nodes");
    for (size_t p = 0; p < network.nodes.size(); ++p) {
      const std::string who = "node " + std::to_string(p + 1) + " of " + name;
      if (!std::isfinite(network.nodes[p].value)) {
        fail(ErrorKind::kNumeric, "stitch graph: the value of ", who, " is ",
             network.nodes[p].value);
      }
      check_costs(network.nodes[p].cost, resources, false, who);
    }
    check_costs(network.stem_cost, resources, true, "the stem of " + name);
    check_costs(network.head_cost, resources, true, "the head of " + name);
  }
  const std::vector<size_t> first = first_positions(problem);
  check_square(problem.stitch_value, first.back(), "values");
  if (problem.stitch_cost.size() != resources) {
    fail(ErrorKind::kShape, "stitch graph: the stitches have ", problem.stitch_cost.size(),
         " costs for ", resources, " resources");
  }
  for (const Matrix& m : problem.stitch_cost) check_square(m, first.back(), "costs");
  size_t possible = 0;
  for (size_t j = 0; j < networks; ++j) {
    for (size_t i = 0; i < networks; ++i) {
      for (size_t q = 1; q <= problem.networks[j].nodes.size(); ++q) {
        for (size_t p = 0; p < problem.networks[i].nodes.size(); ++p) {
          if (!allowed(problem, j, q, i, p)) continue;
          const double value = problem.stitch_value(first[j] + q, first[i] + p);
          if (std::isinf(value) && value < 0) continue;
          ++possible;
          std::vector<double> cost;
          for (const Matrix& m : problem.stitch_cost) cost.push_back(m(first[j] + q, first[i] + p));
          const bool sound = std::all_of(cost.begin(), cost.end(),
                                         [](double c) { return c >= 0 && std::isfinite(c); });
          if (std::isfinite(value) && sound) continue;
          const std::string who = "the stitch from node " + std::to_string(q) + " of " +
                                  name_of(problem, j) + " to node " + std::to_string(p + 1) +
                                  " of " + name_of(problem, i);
          if (!std::isfinite(value)) {
            fail(ErrorKind::kNumeric, "stitch graph: the value of ", who, " is ", value);
          }
          check_costs(cost, resources, false, who);
        }
      }
    }
  }
  if (possible == 0 && problem.max_stitches > 0) {
    fail(ErrorKind::kInfeasible,
         "stitch graph: no two networks can be stitched within a depth slack of ",
         problem.depth_slack, "; with 0 stitches the networks stay whole");
  }
}

StitchedNetwork evaluate(const StitchGraphProblem& problem, const std::vector<Block>& segments) {
  validate(problem);
  return stitch_graph::recompute(problem, segments);
}

}  // namespace kintsugi::solvers
