#include <cmath>
#include <functional>
#include <iomanip>
#include <sstream>

#include "kintsugi/engine/core/error.h"
#include "kintsugi/solvers/reassembly/graph.h"

namespace kintsugi::solvers::reassembly {

namespace {

// Budgets are counts as a rule: written out, not as 1.3e+07.
std::string number(double value) {
  std::ostringstream out;
  if (value == std::floor(value) && std::abs(value) < 1e15)
    out << std::fixed << std::setprecision(0);
  out << value;
  return out.str();
}

bool has_assembly(const ReassemblyProblem& problem, const Clock& clock) {
  return !solve_labels(make_graph(problem), clock).path.empty();
}

ReassemblyProblem without_budgets(ReassemblyProblem problem) {
  for (Resource& r : problem.resources) r.budget = kUnlimited;
  return problem;
}

// The least of one resource that an assembly costs within the other budgets; kUnlimited: there is
// none.
double least_of(const ReassemblyProblem& problem, size_t resource, const Clock& clock) {
  Graph graph = make_graph(problem);
  graph.budget[resource] = kUnlimited;
  for (auto& nodes : graph.nodes) {
    for (Node& node : nodes) node.value = -node.cost[resource];
  }
  for (size_t k = 0; k + 1 < graph.stages(); ++k) {
    for (size_t i = 0; i < graph.arc_value[k].values.size(); ++i) {
      double& value = graph.arc_value[k].values[i];
      if (value != kNever) value = -graph.arc_cost[k][i * graph.resources() + resource];
    }
  }
  const Answer answer = solve_labels(graph, clock);
  return answer.path.empty() ? kUnlimited : graph.cost_of(answer.path)[resource];
}

std::string faulty_rule(const ReassemblyProblem& problem, const Clock& clock) {
  struct Rule {
    std::string text;
    std::function<void(ReassemblyProblem&)> drop;
  };
  const size_t stages = problem.stages.size();
  const size_t most = make_graph(problem).max_per_model;
  const auto each = [](ReassemblyProblem& p, auto change) {
    for (auto& stage : p.stages) {
      for (Candidate& c : stage) change(c);
    }
  };
  const Rule rules[] = {
      {"at most " + std::to_string(most) + " blocks of one network",
       [&](ReassemblyProblem& p) { p.max_per_model = stages; }},
      {"at least " + std::to_string(problem.min_models) + " networks",
       [](ReassemblyProblem& p) { p.min_models = 1; }},
      {"grids before tokens", [](ReassemblyProblem& p) { p.grids_before_tokens = false; }},
      {"the forced candidates",
       [&](ReassemblyProblem& p) { each(p, [](Candidate& c) { c.forced = false; }); }},
      {"the forbidden candidates",
       [&](ReassemblyProblem& p) { each(p, [](Candidate& c) { c.forbidden = false; }); }},
  };
  for (const Rule& rule : rules) {
    ReassemblyProblem relaxed = problem;
    rule.drop(relaxed);
    if (has_assembly(relaxed, clock)) return "the rule '" + rule.text + "' excludes all there are";
  }
  ReassemblyProblem free = problem;
  for (const Rule& rule : rules) rule.drop(free);
  return has_assembly(free, clock) ? "its rules together exclude all there are, no single one does"
                                   : "no chain of possible stitches leads through all stages";
}

}  // namespace

void explain(const ReassemblyProblem& problem, const Clock& clock, ReassemblyResult& result) {
  const ReassemblyProblem unlimited = without_budgets(problem);
  if (!has_assembly(unlimited, clock)) {
    result.reason = "no assembly under any budget: " + faulty_rule(unlimited, clock);
    return;
  }
  std::ostringstream reason, help;
  reason << "no assembly within";
  const char* joint = " ";
  for (const Resource& r : problem.resources) {
    if (r.budget == kUnlimited) continue;
    reason << joint << number(r.budget) << ' ' << r.name;
    joint = " and ";
  }
  for (size_t r = 0; r < problem.resources.size(); ++r) {
    if (problem.resources[r].budget == kUnlimited) continue;
    const double least = least_of(problem, r, clock);
    result.remedies.push_back({r, least});
    const std::string& name = problem.resources[r].name;
    std::string others;
    for (size_t q = 0; q < problem.resources.size(); ++q) {
      if (q == r || problem.resources[q].budget == kUnlimited) continue;
      others += (others.empty() ? " with these " : " and ") + problem.resources[q].name;
    }
    if (least < kUnlimited) {
      help << "; the smallest " << name << others << " is " << number(least);
    } else {
      help << "; no " << name << " would do" << others << " (the smallest of all is "
           << number(least_of(unlimited, r, clock)) << ")";
    }
  }
  if (clock.over()) {
    fail(ErrorKind::kInterrupted, "reassembly: ", reason.str(), "; ",
         clock.stopped() ? "stopped" : "out of time", " before what would help was known");
  }
  result.reason = reason.str() + help.str();
}

}  // namespace kintsugi::solvers::reassembly
