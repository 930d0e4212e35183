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
  const auto refuse = [](const auto&... words) {
    fail(ErrorKind::kUsage, "stitch graph: ", words...);
  };
  if (segments.empty()) refuse("no segments");
  if (segments.size() > problem.max_stitches + 1) {
    refuse(segments.size(), " segments, expected at most ", problem.max_stitches + 1);
  }
  const std::vector<size_t> first = first_positions(problem);
  StitchedNetwork out{segments, 0, std::vector<double>(problem.resources.size(), 0)};
  const auto pay = [&](const std::vector<double>& cost) {
    for (size_t r = 0; r < cost.size(); ++r) out.cost[r] += cost[r];
  };
  for (size_t g = 0; g < segments.size(); ++g) {
    const Block& b = segments[g];
    if (b.model >= problem.networks.size() || b.first < 1 || b.last < b.first ||
        b.last > problem.networks[b.model].nodes.size()) {
      refuse("segment ", g + 1, " does not exist");
    }
    const StitchNetwork& network = problem.networks[b.model];
    if (g == 0 && b.first != 1) refuse("the first segment starts at node ", b.first);
    if (g == 0) pay(network.stem_cost);
    if (g > 0) {
      const Block& before = segments[g - 1];
      const size_t from = first[before.model] + before.last, to = first[b.model] + b.first - 1;
      if (!allowed(problem, before.model, before.last, b.model, b.first - 1) ||
          std::isinf(problem.stitch_value(from, to))) {
        refuse("segments ", g, " and ", g + 1, " cannot be stitched");
      }
      out.objective += problem.stitch_value(from, to);
      for (size_t r = 0; r < out.cost.size(); ++r) out.cost[r] += problem.stitch_cost[r](from, to);
    }
    for (size_t p = b.first; p <= b.last; ++p) {
      out.objective += network.nodes[p - 1].value;
      pay(network.nodes[p - 1].cost);
    }
    if (g + 1 < segments.size()) continue;
    if (b.last != network.nodes.size()) refuse("the last segment ends at node ", b.last);
    pay(network.head_cost);
  }
  for (size_t r = 0; r < out.cost.size(); ++r) {
    if (!reassembly::Graph::within(out.cost[r], problem.resources[r].budget)) {
      refuse(problem.resources[r].name, " is ", out.cost[r], " of at most ",
             problem.resources[r].budget);
    }
  }
  return out;
}

}  // namespace kintsugi::solvers
