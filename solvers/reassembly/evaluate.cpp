// What a choice is worth and costs, and whether it keeps the rules, straight from the problem's
// data: nothing of the graph that the solvers search, so that neither hides a fault of the other.
#include <set>

#include "kintsugi/engine/core/error.h"
#include "kintsugi/solvers/reassembly/graph.h"

namespace kintsugi::solvers {

namespace {

template <class... Parts>
[[noreturn]] void refuse(const Parts&... parts) {
  fail(ErrorKind::kUsage, "reassembly: the assembly breaks a rule or a budget: ", parts...);
}

size_t checkpoint_of(const ReassemblyProblem& problem, size_t model) {
  return problem.models.empty() ? model : problem.models[model].checkpoint;
}

void check_candidate(const ReassemblyProblem& problem, size_t k, size_t index) {
  const Candidate& candidate = problem.stages[k][index];
  const std::string who = reassembly::candidate_name(problem, k, index);
  if (candidate.forbidden) refuse(who, " is forbidden");
  for (const Candidate& other : problem.stages[k]) {
    if (other.forced && !candidate.forced) refuse(who, " stands where another is forced");
  }
  if (problem.licences.empty()) return;
  const std::string licence = problem.models.empty() ? "" : problem.models[candidate.model].licence;
  for (const std::string& allowed : problem.licences) {
    if (allowed == licence) return;
  }
  refuse(who, " is under the licence '", licence, "'");
}

}  // namespace

namespace reassembly {

Assembly recompute(const ReassemblyProblem& problem, const std::vector<size_t>& chosen) {
  const size_t stages = problem.stages.size(), resources = problem.resources.size();
  if (chosen.size() != stages) {
    fail(ErrorKind::kUsage, "reassembly: ", chosen.size(), " candidates for ", stages, " stages");
  }
  Assembly out{chosen, 0, std::vector<double>(resources, 0)};
  const auto pay = [&](const std::vector<double>& cost) {
    for (size_t r = 0; r < cost.size(); ++r) {
      const bool peak = problem.resources[r].peak;
      out.cost[r] = peak ? std::max(out.cost[r], cost[r]) : out.cost[r] + cost[r];
    }
  };
  std::vector<size_t> models;
  std::set<size_t> distinct, checkpoints;
  for (size_t k = 0; k < stages; ++k) {
    if (chosen[k] >= problem.stages[k].size()) {
      fail(ErrorKind::kUsage, "reassembly: candidate ", chosen[k], " of stage ", k + 1,
           " does not exist");
    }
    check_candidate(problem, k, chosen[k]);
    const Candidate& candidate = problem.stages[k][chosen[k]];
    if (k == 0) pay(candidate.stem_cost);
    if (k > 0) {
      const Stitch& stitch = problem.stitches[k - 1][chosen[k - 1]][chosen[k]];
      const Candidate& before = problem.stages[k - 1][chosen[k - 1]];
      const bool back = before.out == FeatureKind::kTokens && candidate.in == FeatureKind::kGrid;
      if (!stitch.possible) refuse("no stitch leads to stage ", k + 1);
      if (problem.grids_before_tokens && back) refuse("a grid after tokens in stage ", k + 1);
      out.objective += stitch.value;
      pay(stitch.cost);
    }
    out.objective += candidate.value;
    pay(candidate.cost);
    if (k + 1 == stages) pay(candidate.head_cost);
    models.push_back(candidate.model);
    distinct.insert(candidate.model);
    checkpoints.insert(checkpoint_of(problem, candidate.model));
  }
  const size_t most = problem.max_per_model ? problem.max_per_model : stages / 2 + stages % 2;
  for (const size_t model : distinct) {
    const auto blocks = size_t(std::count(models.begin(), models.end(), model));
    if (blocks > most) refuse(blocks, " blocks of one network, at most ", most);
  }
  if (distinct.size() < problem.min_models) {
    refuse(distinct.size(), " networks, at least ", problem.min_models);
  }
  if (problem.max_sources > 0 && checkpoints.size() > problem.max_sources) {
    refuse(checkpoints.size(), " checkpoints, at most ", problem.max_sources);
  }
  for (size_t r = 0; r < resources; ++r) {
    // Rounding of the sum must not throw out what lies on the budget.
    const double budget = problem.resources[r].budget;
    if (out.cost[r] > budget && !(out.cost[r] - budget <= 4e-15 * budget)) {
      refuse(problem.resources[r].name, " is ", out.cost[r], " of at most ", budget);
    }
  }
  return out;
}

}  // namespace reassembly

Assembly evaluate(const ReassemblyProblem& problem, const std::vector<size_t>& chosen) {
  validate(problem);
  return reassembly::recompute(problem, chosen);
}

}  // namespace kintsugi::solvers
