// What a stitched network is worth and costs, and whether it keeps the rules, straight from the
// problem's data: nothing that the solver uses.
#include <cmath>

#include "kintsugi/engine/core/error.h"
#include "kintsugi/solvers/stitch_graph/graph.h"

namespace kintsugi::solvers::stitch_graph {

StitchedNetwork recompute(const StitchGraphProblem& problem, const std::vector<Block>& segments) {
  const auto refuse = [](const auto&... words) {
    fail(ErrorKind::kUsage, "stitch graph: ", words...);
  };
  if (segments.empty()) refuse("no segments");
  if (segments.size() > problem.max_stitches + 1) {
    refuse(segments.size(), " segments, expected at most ", problem.max_stitches + 1);
  }
  if (segments.size() <= problem.min_stitches) {
    refuse(segments.size(), " segments, expected at least ", problem.min_stitches + 1);
  }
  std::vector<size_t> first;
  size_t positions = 0;
  for (const StitchNetwork& network : problem.networks) {
    first.push_back(positions);
    positions += network.nodes.size() + 1;
  }
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
    if (g == 0 && !network.starts) refuse("no path begins with ", network.name);
    if (g == 0) pay(network.stem_cost);
    if (g > 0) {
      const Block& before = segments[g - 1];
      const size_t from = first[before.model] + before.last, to = first[b.model] + b.first - 1;
      const double apart =
          double(before.last) / double(problem.networks[before.model].nodes.size()) -
          double(b.first - 1) / double(network.nodes.size());
      if (before.model == b.model || std::abs(apart) > problem.depth_slack + 1e-12 ||
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
    // Rounding of the sum must not throw out what lies on the budget.
    const double budget = problem.resources[r].budget;
    if (out.cost[r] > budget && !(out.cost[r] - budget <= 4e-15 * budget)) {
      refuse(problem.resources[r].name, " is ", out.cost[r], " of at most ",
             problem.resources[r].budget);
    }
  }
  return out;
}

}  // namespace kintsugi::solvers::stitch_graph
