#include <algorithm>

#include "kintsugi/engine/core/error.h"
#include "kintsugi/solvers/ilp/model.h"
#include "kintsugi/solvers/partition/search.h"

namespace kintsugi::solvers {

PartitionSolver parse_partition_solver(const std::string& name) {
  const std::vector<std::string> names = {"own", "glpk", "exhaustive"};
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i] == name) return PartitionSolver(i);
  }
  fail(ErrorKind::kUsage, "partition: no solver '", name, "'", did_you_mean(name, names));
}

bool has_partition_solver(PartitionSolver solver) {
  if (solver != PartitionSolver::kGlpk) return true;
  return std::any_of(ilp::solvers().begin(), ilp::solvers().end(),
                     [](const ilp::Solver& s) { return std::string(s.name) == "glpk"; });
}

PartitionResult exact_partition(const PartitionProblem& problem, const PartitionOptions& options,
                                const Control& control) {
  validate(problem);
  switch (options.solver) {
    case PartitionSolver::kGlpk: return partition::solve_milp(problem, control);
    case PartitionSolver::kExhaustive: return partition::solve_exhaustively(problem, control);
    case PartitionSolver::kOwn: break;
  }
  return problem.free_sets ? partition::solve_free(problem, options, control)
                           : partition::solve_tied(problem, options, control);
}

namespace partition {

PartitionResult concluded(Partition best, double value, double bound, uint64_t nodes, Clock& clock) {
  PartitionResult result;
  result.best = std::move(best);
  const double objective = result.best.objective;
  result.optimal = bound <= value + tolerance(value);
  result.bound = result.optimal ? objective : bound;
  result.gap = (result.bound - objective) / std::max(1e-12, std::abs(objective));
  result.seconds = clock.seconds();
  result.nodes = nodes;
  clock.report(1);
  return result;
}

void found_nothing(const Clock& clock) {
  if (clock.over()) {
    fail(ErrorKind::kInterrupted, "partition: stopped before a partition was found");
  }
  fail(ErrorKind::kInfeasible,
       "partition: no choice of anchors obeys the rules: some set has no block that may be one");
}

}  // namespace partition

}  // namespace kintsugi::solvers
