#include <cmath>

#include "bench/solvers/solvers.h"
#include "kintsugi/apps/text.h"
#include "kintsugi/engine/core/error.h"
#include "tests/support/synthetic.h"

namespace kintsugi::bench {

using namespace solvers;

namespace {

// From the problem's numbers: -infinity outside a budget or with more than half of one network.
double score_within(const NaswotProblem& problem, const std::vector<size_t>& chosen) {
  constexpr double kOutside = -std::numeric_limits<double>::infinity();
  const ReassemblyProblem& p = problem.assembly;
  const size_t stages = chosen.size(), inputs = problem.kernels[0][0].rows;
  Matrix sum(inputs, inputs);
  std::vector<double> cost(p.resources.size(), 0);
  const auto pay = [&](const std::vector<double>& of) {
    for (size_t r = 0; r < of.size(); ++r) cost[r] += of[r];
  };
  for (size_t k = 0; k < stages; ++k) {
    const Candidate& c = p.stages[k][chosen[k]];
    pay(c.cost);
    if (k == 0) pay(c.stem_cost);
    if (k + 1 == stages) pay(c.head_cost);
    if (k > 0) pay(p.stitches[k - 1][chosen[k - 1]][chosen[k]].cost);
    if (size_t(std::count(chosen.begin(), chosen.end(), chosen[k])) > (stages + 1) / 2) {
      return kOutside;
    }
    const Matrix& kernel = problem.kernels[k][chosen[k]];
    for (size_t i = 0; i < sum.values.size(); ++i) sum.values[i] += kernel.values[i];
  }
  for (size_t r = 0; r < cost.size(); ++r) {
    if (cost[r] > p.resources[r].budget) return kOutside;
  }
  return log_det(sum);
}

}  // namespace

void bench_naswot(std::ostream& out, const NaswotBenchOptions& options) {
  std::vector<std::vector<std::string>> rows{
      {"seed", "seconds", "score", "gap", "tangents", "nodes", "best of 500 at random"}};
  for (int64_t seed = 0; seed < options.seeds; ++seed) {
    const NaswotProblem problem =
        test::random_naswot({size_t(options.networks), size_t(options.stages), options.share},
                            size_t(options.inputs), uint64_t(seed));
    Control control;
    control.seconds = options.time_limit;
    const NaswotResult result = exact_naswot(problem, control);
    if (result.status == ReassemblyStatus::kInfeasible) {
      rows.push_back({std::to_string(seed), apps::fixed(result.seconds, 3), "infeasible"});
      continue;
    }
    const double again = evaluate(problem, result.best.chosen).objective;
    // The paper's way: candidates at random, the best of those within the budgets.
    test::Random random{uint64_t(seed)};
    double best = -std::numeric_limits<double>::infinity();
    for (size_t tried = 0, met = 0; met < 500 && tried < 100'000; ++tried) {
      std::vector<size_t> chosen;
      for (const auto& stage : problem.kernels) chosen.push_back(test::below(random, stage.size()));
      const double score = score_within(problem, chosen);
      met += std::isfinite(score);
      best = std::max(best, score);
    }
    if (std::abs(again - result.best.objective) > 1e-9 * std::abs(again) ||
        best > result.bound + 1e-9 * std::abs(again)) {
      fail(ErrorKind::kNumeric, "bench naswot: the answer says ", result.best.objective,
           " with bound ", result.bound, ", it is worth ", again, ", one at random ", best);
    }
    rows.push_back({std::to_string(seed), apps::fixed(result.seconds, 3), apps::fixed(again, 4),
                    apps::fixed(100 * result.gap, 4) + " %", std::to_string(result.cuts),
                    std::to_string(result.nodes), apps::fixed(best, 4)});
  }
  out << options.networks << " networks, " << options.stages << " stages, " << options.inputs
      << " inputs, two budgets: the assembly of the greatest NASWOT\n"
      << apps::table(rows) << std::flush;
}

}  // namespace kintsugi::bench
