#include <cmath>

#include "bench/solvers/solvers.h"
#include "kintsugi/apps/text.h"
#include "kintsugi/engine/core/error.h"
#include "kintsugi/solvers/stitch_graph.h"
#include "tests/support/synthetic.h"

namespace kintsugi::bench {

namespace {

using namespace solvers;

// Each answer is worth what it says and none beats the next: objectives fall, so it must be cheaper
// somewhere than all before it.
template <class Answer>
void check(const std::vector<Answer>& front, const std::vector<Answer>& again) {
  for (size_t i = 0; i < front.size(); ++i) {
    bool sound =
        std::abs(front[i].objective - again[i].objective) < 1e-9 && front[i].cost == again[i].cost;
    for (size_t j = 0; j < i && sound; ++j) {
      bool cheaper = false;
      for (size_t r = 0; r < front[i].cost.size(); ++r) {
        cheaper |= front[i].cost[r] < front[j].cost[r];
      }
      sound = cheaper && front[j].objective >= front[i].objective;
    }
    if (!sound) fail(ErrorKind::kNumeric, "bench front: point ", i, " does not stand");
  }
}

}  // namespace

void bench_front(std::ostream& out, const FrontBenchOptions& options) {
  std::vector<std::vector<std::string>> rows{
      {"seed", "points", "labels", "seconds", "best objective", "gap"}};
  for (int64_t seed = 0; seed < options.seeds; ++seed) {
    const ReassemblyProblem problem = test::random_problem(
        {size_t(options.networks), size_t(options.stages), options.share}, uint64_t(seed));
    Control control;
    control.seconds = options.time_limit;
    const ReassemblyFront front = pareto_front(problem, {0, 1}, control);
    std::vector<Assembly> again;
    for (const Assembly& a : front.assemblies) again.push_back(evaluate(problem, a.chosen));
    check(front.assemblies, again);
    rows.push_back({std::to_string(seed), std::to_string(front.assemblies.size()),
                    std::to_string(front.labels), apps::fixed(front.seconds, 3),
                    front.assemblies.empty() ? "infeasible" : apps::fixed(again[0].objective, 5),
                    front.complete ? "complete" : apps::fixed(100 * front.gap, 3) + " %"});
  }
  out << options.networks << " networks, " << options.stages
      << " stages: the Pareto front of objective, params and macs\n"
      << apps::table(rows) << std::flush;
}

void bench_stitch_graph(std::ostream& out, const StitchGraphBenchOptions& options) {
  std::vector<std::vector<std::string>> rows{{"seed", "stitches", "points", "labels", "seconds",
                                              "longest chain", "best objective", "gap"}};
  for (int64_t seed = 0; seed < options.seeds; ++seed) {
    StitchGraphProblem problem = test::random_stitch_graph(
        test::zoo_depths(size_t(options.networks), uint64_t(seed)), uint64_t(seed));
    problem.max_stitches = size_t(options.stitches);
    problem.depth_slack = options.slack;
    Control control;
    control.seconds = options.time_limit;
    const StitchGraphResult result = stitch_front(problem, control);
    std::vector<StitchedNetwork> again;
    size_t longest = 0;
    for (const StitchedNetwork& n : result.front) {
      again.push_back(evaluate(problem, n.segments));
      longest = std::max(longest, n.segments.size() - 1);
    }
    check(result.front, again);
    rows.push_back({std::to_string(seed), std::to_string(result.stitches),
                    std::to_string(result.front.size()), std::to_string(result.labels),
                    apps::fixed(result.seconds, 3), std::to_string(longest),
                    apps::fixed(again[0].objective, 5),
                    result.complete ? "complete" : apps::fixed(100 * result.gap, 3) + " %"});
  }
  out << options.networks << " networks, at most " << options.stitches << " stitches, depth slack "
      << apps::fixed(options.slack, 2) << ": the Pareto front of objective, params and macs\n"
      << apps::table(rows) << std::flush;
}

}  // namespace kintsugi::bench
