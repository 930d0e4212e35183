#include <algorithm>
#include <cmath>
#include <set>

#include "kintsugi/engine/core/error.h"
#include "kintsugi/solvers/reassembly/graph.h"

namespace kintsugi::solvers {

namespace {

void check_costs(const std::vector<double>& cost, size_t resources, bool may_be_empty,
                 const auto& who) {
  if (cost.empty() && may_be_empty) return;
  if (cost.size() != resources) {
    fail(ErrorKind::kShape, "reassembly: ", who(), " has ", cost.size(), " costs for ", resources,
         " resources");
  }
  for (const double c : cost) {
    if (!(c >= 0) || std::isinf(c)) {
      fail(ErrorKind::kUsage, "reassembly: a cost of ", who(), " is ", c, ", expected 0 or more");
    }
  }
}

void check_value(double value, const auto& who) {
  if (!std::isfinite(value)) {
    fail(ErrorKind::kNumeric, "reassembly: the value of ", who(), " is ", value);
  }
}

void check_stage(const ReassemblyProblem& problem, size_t k) {
  const size_t resources = problem.resources.size();
  std::set<size_t> forced;
  for (size_t c = 0; c < problem.stages[k].size(); ++c) {
    const Candidate& candidate = problem.stages[k][c];
    const auto who = [&] { return reassembly::candidate_name(problem, k, c); };
    check_value(candidate.value, who);
    check_costs(candidate.cost, resources, false, who);
    check_costs(candidate.stem_cost, resources, true, [&] { return "the stem of " + who(); });
    check_costs(candidate.head_cost, resources, true, [&] { return "the head of " + who(); });
    if (candidate.forced && candidate.forbidden) {
      fail(ErrorKind::kUsage, "reassembly: ", who(), " is both forced and forbidden");
    }
    if (!problem.models.empty() && candidate.model >= problem.models.size()) {
      fail(ErrorKind::kUsage, "reassembly: ", who(), " comes from network ", candidate.model,
           " of ", problem.models.size());
    }
    if (candidate.forced) {
      const bool own = candidate.block == Candidate::kOwn;
      forced.insert(own ? problem.stages[k].size() + c : candidate.block);
    }
  }
  if (problem.stages[k].empty()) {
    fail(ErrorKind::kUsage, "reassembly: stage ", k + 1, " has no candidates");
  }
  if (forced.size() > 1) {
    fail(ErrorKind::kUsage, "reassembly: ", forced.size(), " candidates of stage ", k + 1,
         " are forced, expected at most 1");
  }
}

}  // namespace

std::string reassembly::candidate_name(const ReassemblyProblem& problem, size_t stage,
                                       size_t index) {
  const std::string& name = problem.stages[stage][index].name;
  if (!name.empty()) return name;
  return "candidate " + std::to_string(index) + " of stage " + std::to_string(stage + 1);
}

void validate(const ReassemblyProblem& problem) {
  const size_t stages = problem.stages.size(), resources = problem.resources.size();
  if (stages == 0) fail(ErrorKind::kUsage, "reassembly: no stages");
  for (const Resource& r : problem.resources) {
    if (!(r.budget >= 0)) {
      fail(ErrorKind::kUsage, "reassembly: the budget of ", r.name, " is ", r.budget,
           ", expected 0 or more");
    }
  }
  for (size_t k = 0; k < stages; ++k) check_stage(problem, k);
  if (problem.stitches.size() + 1 != stages) {
    fail(ErrorKind::kShape, "reassembly: stitches between ", problem.stitches.size(),
         " pairs of stages, expected ", stages - 1);
  }
  for (size_t k = 0; k + 1 < stages; ++k) {
    const size_t left = problem.stages[k].size(), right = problem.stages[k + 1].size();
    const auto& table = problem.stitches[k];
    if (table.size() != left ||
        std::any_of(table.begin(), table.end(), [&](const auto& r) { return r.size() != right; })) {
      fail(ErrorKind::kShape, "reassembly: the stitches from stage ", k + 1, " are not ", left,
           " by ", right);
    }
    for (size_t a = 0; a < left; ++a) {
      for (size_t b = 0; b < right; ++b) {
        const Stitch& stitch = table[a][b];
        if (!stitch.possible) continue;
        const auto who = [&] {
          return "the stitch from " + reassembly::candidate_name(problem, k, a) + " to " +
                 reassembly::candidate_name(problem, k + 1, b);
        };
        check_value(stitch.value, who);
        check_costs(stitch.cost, resources, true, who);
      }
    }
  }
}

bool available(ReassemblySolver solver) {
#ifdef KINTSUGI_HAVE_GLPK
  (void)solver;
  return true;
#else
  return solver != ReassemblySolver::kGlpk;
#endif
}

const char* to_string(ReassemblySolver solver) {
  switch (solver) {
    case ReassemblySolver::kLabels:
      return "labels";
    case ReassemblySolver::kGlpk:
      return "glpk";
    case ReassemblySolver::kExhaustive:
      return "exhaustive";
  }
  return "?";
}

ReassemblySolver parse_reassembly_solver(const std::string& name) {
  std::vector<std::string> names;
  for (const auto solver :
       {ReassemblySolver::kLabels, ReassemblySolver::kGlpk, ReassemblySolver::kExhaustive}) {
    names.push_back(to_string(solver));
    if (name == names.back()) return solver;
  }
  fail(ErrorKind::kUsage, "reassembly: unknown solver '", name,
       "', expected labels, glpk or exhaustive", did_you_mean(name, names));
}

const char* to_string(ReassemblyStatus status) {
  switch (status) {
    case ReassemblyStatus::kOptimal:
      return "optimal";
    case ReassemblyStatus::kFeasible:
      return "feasible";
    case ReassemblyStatus::kInfeasible:
      return "infeasible";
  }
  return "?";
}

}  // namespace kintsugi::solvers
