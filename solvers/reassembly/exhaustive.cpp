#include "kintsugi/engine/core/error.h"
#include "kintsugi/solvers/reassembly/graph.h"

namespace kintsugi::solvers::reassembly {

Answer solve_exhaustive(const Graph& graph, const Clock& clock) {
  double cases = 1;
  for (const auto& nodes : graph.nodes) cases *= double(nodes.size());
  if (cases > 1e8) {
    fail(ErrorKind::kUsage, "reassembly: ", cases, " combinations are too many to try one by one");
  }
  Answer answer;
  Path path(graph.stages(), 0);
  for (bool more = cases > 0; more;) {
    if ((++answer.work & 4095) == 0 && clock.over()) {
      answer.status = answer.path.empty() ? Answer::Status::kUnknown : Answer::Status::kFeasible;
      return answer;
    }
    if (const double value = graph.value_of(path); value > answer.objective && graph.admits(path)) {
      answer.objective = value;
      answer.path = path;
    }
    more = false;
    for (size_t k = 0; k < path.size() && !more; ++k) {
      more = ++path[k] < graph.nodes[k].size();
      if (!more) path[k] = 0;
    }
  }
  answer.bound = answer.objective;
  answer.status = answer.path.empty() ? Answer::Status::kInfeasible : Answer::Status::kOptimal;
  return answer;
}

}  // namespace kintsugi::solvers::reassembly
