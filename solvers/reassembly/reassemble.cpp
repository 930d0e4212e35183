#include <algorithm>
#include <cmath>

#include "kintsugi/engine/core/error.h"
#include "kintsugi/solvers/reassembly/graph.h"

namespace kintsugi::solvers {

ReassemblyResult reassemble(const ReassemblyProblem& problem, const ReassemblyOptions& options,
                            const Control& control) {
  using reassembly::Answer;
  validate(problem);
  if (options.best == 0) fail(ErrorKind::kUsage, "reassembly: the 0 best asked for");
  if (options.diversity == 0 || options.diversity > problem.stages.size()) {
    fail(ErrorKind::kUsage, "reassembly: diversity is ", options.diversity, ", expected 1 to ",
         problem.stages.size());
  }
  if (!available(options.solver)) {
    fail(ErrorKind::kMissing, "reassembly: the solver ", to_string(options.solver),
         " is not built in; expected labels");
  }
  Clock clock(control);
  reassembly::Graph graph = reassembly::make_graph(problem);
  ReassemblyResult result;
  result.status = ReassemblyStatus::kOptimal;
  while (result.assemblies.size() < options.best) {
    Answer answer;
    switch (options.solver) {
      case ReassemblySolver::kLabels:
        answer = solve_labels(graph, clock);
        break;
      case ReassemblySolver::kGlpk:
        answer = solve_glpk(graph, clock);
        break;
      case ReassemblySolver::kExhaustive:
        answer = solve_exhaustive(graph, clock);
        break;
    }
    result.nodes += answer.work;
    if (answer.status == Answer::Status::kUnknown && result.assemblies.empty()) {
      fail(ErrorKind::kInterrupted, "reassembly: ", clock.stopped() ? "stopped" : "out of time",
           " after ", clock.seconds(), " s without an assembly");
    }
    if (answer.status == Answer::Status::kUnknown) result.status = ReassemblyStatus::kFeasible;
    if (answer.path.empty()) break;
    if (answer.status == Answer::Status::kFeasible) result.status = ReassemblyStatus::kFeasible;
    std::vector<size_t> chosen;
    for (size_t k = 0; k < answer.path.size(); ++k) {
      chosen.push_back(graph.nodes[k][answer.path[k]].candidate);
    }
    Assembly assembly = reassembly::recompute(problem, chosen);
    if (result.assemblies.empty()) {
      result.objective = assembly.objective;
      result.bound = std::max(answer.bound, assembly.objective);
      result.gap = (result.bound - result.objective) / std::max(1e-12, std::abs(result.objective));
    }
    result.assemblies.push_back(std::move(assembly));
    graph.no_goods.push_back({answer.path, problem.stages.size() - options.diversity});
    clock.report(double(result.assemblies.size()) / double(options.best));
  }
  if (result.assemblies.empty()) {
    result.status = ReassemblyStatus::kInfeasible;
    reassembly::Explanation why = reassembly::explain(problem, clock);
    result.reason = std::move(why.reason);
    result.remedies = std::move(why.remedies);
  }
  clock.report(1);
  result.seconds = clock.seconds();
  return result;
}

}  // namespace kintsugi::solvers
