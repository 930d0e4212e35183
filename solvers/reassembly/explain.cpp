// Each limit is relaxed by itself, as little as gives an assembly: budgets by minimising what they
// limit, counts step by step, sets by the fewest of their members.
#include <cmath>
#include <iomanip>
#include <map>
#include <set>
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

bool has_assembly(const Graph& graph, const Clock& clock) {
  return !any_path(graph, clock).path.empty();
}
bool has_assembly(const ReassemblyProblem& problem, const Clock& clock) {
  return has_assembly(make_graph(problem), clock);
}

ReassemblyProblem without_budgets(ReassemblyProblem problem) {
  for (Resource& r : problem.resources) r.budget = kUnlimited;
  return problem;
}

// The path of the least cost; a Cost gives that of a node and of an arc.
template <class NodeCost, class ArcCost>
Path cheapest(Graph graph, const NodeCost& of_node, const ArcCost& of_arc, const Clock& clock) {
  for (size_t k = 0; k < graph.stages(); ++k) {
    for (Node& node : graph.nodes[k]) node.value = -of_node(k, node);
    if (k + 1 == graph.stages()) break;
    for (size_t i = 0; i < graph.arc_value[k].values.size(); ++i) {
      double& value = graph.arc_value[k].values[i];
      if (value != kNever) value = -of_arc(k, i);
    }
  }
  return solve_labels(graph, clock).path;
}

// The least of one sum that an assembly costs within the other budgets; kUnlimited: there is none.
double least_sum(const ReassemblyProblem& problem, size_t resource, const Clock& clock) {
  Graph graph = make_graph(problem);
  graph.budget[resource] = kUnlimited;
  const Path path = cheapest(
      graph, [&](size_t, const Node& node) { return node.cost[resource]; },
      [&](size_t k, size_t i) { return graph.arc_cost[k][i * graph.resources() + resource]; },
      clock);
  return path.empty() ? kUnlimited : graph.cost_of(path)[resource];
}

// The same of a peak: whatever one part of the problem costs may be the answer.
double least_peak(ReassemblyProblem problem, size_t resource, const Clock& clock) {
  problem.resources[resource].budget = kUnlimited;
  const Graph all = make_graph(problem);
  std::set<double> levels;
  for (const auto& nodes : all.nodes) {
    for (const Node& node : nodes) levels.insert(node.cost[resource]);
  }
  for (const auto& costs : all.arc_cost) {
    for (size_t i = resource; i < costs.size(); i += all.resources()) levels.insert(costs[i]);
  }
  const std::vector<double> sorted(levels.begin(), levels.end());
  const auto fits = [&](double level) {
    problem.resources[resource].budget = level;
    return has_assembly(problem, clock);
  };
  size_t low = 0, high = sorted.size();
  while (low < high) {
    const size_t middle = (low + high) / 2;
    if (fits(sorted[middle])) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low < sorted.size() ? sorted[low] : kUnlimited;
}

double least_of(const ReassemblyProblem& problem, size_t resource, const Clock& clock) {
  return problem.resources[resource].peak ? least_peak(problem, resource, clock)
                                          : least_sum(problem, resource, clock);
}

// The smallest set of `items`, of few, with which `works` holds; {} and false if none does.
template <class Works>
bool smallest_subset(size_t items, std::vector<size_t>& chosen, const Works& works) {
  for (size_t size = 1; size <= items; ++size) {
    chosen.resize(size);
    for (size_t i = 0; i < size; ++i) chosen[i] = i;
    for (;;) {
      if (works(chosen)) return true;
      size_t i = size;
      while (i > 0 && chosen[i - 1] == items - size + i - 1) --i;
      if (i == 0) break;
      ++chosen[i - 1];
      for (size_t j = i; j < size; ++j) chosen[j] = chosen[j - 1] + 1;
    }
  }
  chosen.clear();
  return false;
}

class Rules {
 public:
  Rules(const ReassemblyProblem& problem, const Clock& clock)
      : problem_(problem), clock_(clock), graph_(make_graph(problem)) {}

  std::vector<Remedy> remedies() {
    std::vector<Remedy> out;
    const size_t stages = graph_.stages();
    if (graph_.max_per_model < stages) {
      out.push_back(step("max_per_model", &Graph::max_per_model, +1, stages));
    }
    if (graph_.min_models > 1) out.push_back(step("min_models", &Graph::min_models, -1, 1));
    if (graph_.few_sources()) {
      out.push_back(step("max_sources", &Graph::max_sources, +1, stages));
    }
    if (problem_.grids_before_tokens) out.push_back(order());
    if (!problem_.licences.empty()) out.push_back(licences());
    if (any([](const Candidate& c) { return c.forced; })) out.push_back(forced());
    if (any([](const Candidate& c) { return c.forbidden; })) out.push_back(forbidden());
    return out;
  }

 private:
  Remedy step(const char* limit, size_t Graph::*rule, int by, size_t last) {
    const size_t got = graph_.*rule;
    Remedy remedy{limit, double(got), kUnlimited};
    Graph graph = graph_;
    for (size_t at = got; at != last && remedy.needed == kUnlimited;) {
      at = by > 0 ? at + 1 : at - 1;
      graph.*rule = at;
      if (has_assembly(graph, clock_)) remedy.needed = double(at);
    }
    return remedy;
  }

  Remedy order() {
    ReassemblyProblem relaxed = problem_;
    relaxed.grids_before_tokens = false;
    return {"grids_before_tokens", 1, has_assembly(relaxed, clock_) ? 0 : kUnlimited};
  }

  Remedy licences() {
    std::set<std::string> others;
    for (const SourceModel& model : problem_.models) others.insert(model.licence);
    for (const std::string& allowed : problem_.licences) others.erase(allowed);
    const std::vector<std::string> names(others.begin(), others.end());
    Remedy remedy{"licences", double(problem_.licences.size()), kUnlimited};
    ReassemblyProblem relaxed = problem_;
    std::vector<size_t> chosen;
    const bool found = smallest_subset(names.size(), chosen, [&](const auto& subset) {
      relaxed.licences = problem_.licences;
      for (const size_t i : subset) relaxed.licences.push_back(names[i]);
      return has_assembly(relaxed, clock_);
    });
    if (found) remedy.needed = remedy.got + double(chosen.size());
    for (const size_t i : chosen) remedy.names.push_back(names[i]);
    return remedy;
  }

  // At most one block of each stage is forced.
  Remedy forced() {
    std::vector<size_t> stages;
    std::vector<std::string> names;
    for (size_t k = 0; k < problem_.stages.size(); ++k) {
      const auto& stage = problem_.stages[k];
      const auto first = std::find_if(stage.begin(), stage.end(), [](auto& c) { return c.forced; });
      if (first == stage.end()) continue;
      stages.push_back(k);
      names.push_back(candidate_name(problem_, k, size_t(first - stage.begin())));
    }
    Remedy remedy{"forced", double(stages.size()), kUnlimited};
    std::vector<size_t> chosen;
    const bool found = smallest_subset(stages.size(), chosen, [&](const auto& subset) {
      ReassemblyProblem relaxed = problem_;
      for (const size_t i : subset) {
        for (Candidate& c : relaxed.stages[stages[i]]) c.forced = false;
      }
      return has_assembly(relaxed, clock_);
    });
    if (found) remedy.needed = remedy.got - double(chosen.size());
    for (const size_t i : chosen) remedy.names.push_back(names[i]);
    return remedy;
  }

  Remedy forbidden() {
    ReassemblyProblem relaxed = problem_;
    Remedy remedy{"forbidden", 0, kUnlimited};
    for (auto& stage : relaxed.stages) {
      for (Candidate& c : stage) {
        remedy.got += c.forbidden;
        c.forbidden = false;
      }
    }
    const Graph graph = make_graph(relaxed);
    const auto was = [&](size_t k, const Node& node) {
      return problem_.stages[k][node.candidate].forbidden;
    };
    const Path path = cheapest(
        graph, [&](size_t k, const Node& node) { return was(k, node) ? 1.0 : 0.0; },
        [](size_t, size_t) { return 0.0; }, clock_);
    if (path.empty()) return remedy;
    for (size_t k = 0; k < path.size(); ++k) {
      const Node& node = graph.nodes[k][path[k]];
      if (was(k, node)) remedy.names.push_back(candidate_name(problem_, k, node.candidate));
    }
    remedy.needed = remedy.got - double(remedy.names.size());
    return remedy;
  }

  template <class Is>
  bool any(const Is& is) const {
    for (const auto& stage : problem_.stages) {
      if (std::any_of(stage.begin(), stage.end(), is)) return true;
    }
    return false;
  }

  const ReassemblyProblem& problem_;
  const Clock& clock_;
  Graph graph_;
};

std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) {
    text += (text.empty() ? "'" : ", '") + (name.empty() ? "unknown" : name) + "'";
  }
  return text;
}

std::string rule_text(const Remedy& remedy) {
  const std::string got = number(remedy.got);
  if (remedy.limit == "max_per_model") return "at most " + got + " blocks of one network";
  if (remedy.limit == "min_models") return "at least " + got + " networks";
  if (remedy.limit == "max_sources") return "at most " + got + " checkpoints";
  if (remedy.limit == "grids_before_tokens") return "grids before tokens";
  if (remedy.limit == "licences") return "the allowed licences";
  return "the " + remedy.limit + " candidates";
}

std::string remedy_text(const Remedy& remedy) {
  if (remedy.limit == "licences") return "licence " + listed(remedy.names) + " allowed as well";
  if (remedy.limit == "forced") return listed(remedy.names) + " not forced";
  if (remedy.limit == "forbidden") return listed(remedy.names) + " not forbidden";
  if (remedy.limit == "grids_before_tokens") return "grids after tokens allowed";
  Remedy relaxed = remedy;
  relaxed.got = remedy.needed;
  return rule_text(relaxed);
}

// Some limit that helps, or what stands against it.
std::string faulty_rule(const ReassemblyProblem& unlimited, const std::vector<Remedy>& rules,
                        const Clock& clock) {
  for (const Remedy& rule : rules) {
    if (rule.needed < kUnlimited) {
      return "the rule '" + rule_text(rule) + "' excludes all there are; " + remedy_text(rule) +
             " would do";
    }
  }
  ReassemblyProblem free = unlimited;
  free.max_per_model = free.stages.size();
  free.min_models = 1;
  free.max_sources = 0;
  free.grids_before_tokens = false;
  free.licences.clear();
  for (auto& stage : free.stages) {
    for (Candidate& c : stage) c.forced = c.forbidden = false;
  }
  return has_assembly(free, clock) ? "its rules together exclude all there are, no single one does"
                                   : "no chain of possible stitches leads through all stages";
}

std::string budgets_text(const ReassemblyProblem& problem) {
  std::ostringstream text;
  const char* joint = " ";
  for (const Resource& r : problem.resources) {
    if (r.budget == kUnlimited) continue;
    text << joint << number(r.budget) << ' ' << r.name;
    joint = " and ";
  }
  return text.str();
}

}  // namespace

Explanation explain(const ReassemblyProblem& problem, const Clock& clock) {
  Explanation out;
  const ReassemblyProblem unlimited = without_budgets(problem);
  const bool budgets_matter = has_assembly(unlimited, clock);
  for (size_t r = 0; r < problem.resources.size(); ++r) {
    const Resource& resource = problem.resources[r];
    if (resource.budget == kUnlimited) continue;
    const double least = budgets_matter ? least_of(problem, r, clock) : kUnlimited;
    out.remedies.push_back({resource.name, resource.budget, least});
  }
  const size_t budgets = out.remedies.size();
  for (Remedy& remedy : Rules(problem, clock).remedies()) out.remedies.push_back(std::move(remedy));
  if (!budgets_matter) {
    const std::vector<Remedy> rules = Rules(unlimited, clock).remedies();
    out.reason = "no assembly under any budget: " + faulty_rule(unlimited, rules, clock);
  } else {
    out.reason = "no assembly within" + budgets_text(problem);
    for (size_t i = 0; i < budgets; ++i) {
      const Remedy& remedy = out.remedies[i];
      std::string others;
      for (size_t j = 0; j < budgets; ++j) {
        if (j == i) continue;
        others += (others.empty() ? " with these " : " and ") + out.remedies[j].limit;
      }
      if (remedy.needed < kUnlimited) {
        out.reason += "; the smallest " + remedy.limit + others + " is " + number(remedy.needed);
        continue;
      }
      size_t r = 0;
      while (problem.resources[r].name != remedy.limit) ++r;
      out.reason += "; no " + remedy.limit + " would do" + others + " (the smallest of all is " +
                    number(least_of(unlimited, r, clock)) + ")";
    }
    for (size_t i = budgets; i < out.remedies.size(); ++i) {
      if (out.remedies[i].needed == kUnlimited) continue;
      out.reason += "; or, within the budgets, " + remedy_text(out.remedies[i]);
    }
  }
  if (clock.over()) {
    fail(ErrorKind::kInterrupted, "reassembly: no assembly",
         budgets_matter ? " within" + budgets_text(problem) : "", "; ",
         clock.stopped() ? "stopped" : "out of time", " before what would help was known");
  }
  return out;
}

}  // namespace kintsugi::solvers::reassembly
