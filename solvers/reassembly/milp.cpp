// Reassembly as a layered flow: x picks a node of each stage, y carries one unit along the arcs. y
// may be continuous: given x, the flow is fixed.
#include "kintsugi/engine/core/error.h"
#include "kintsugi/solvers/ilp/model.h"
#include "kintsugi/solvers/reassembly/graph.h"

namespace kintsugi::solvers::reassembly {

namespace {

struct Milp {
  ilp::Model model;
  std::vector<std::vector<size_t>> x;  // [stage][node]: the variable
};

// A variable for each checkpoint, at least 1 where any stage takes a block of it.
void limit_sources(const Graph& graph, Milp& out) {
  ilp::Row sum{.upper = double(graph.max_sources)};
  for (size_t s = 0; s < graph.sources; ++s) {
    const size_t used = out.model.add(ilp::Variable{.upper = 1});
    sum.terms.push_back({used, 1});
    for (size_t k = 0; k < graph.stages(); ++k) {
      ilp::Row row{.upper = 0};
      for (size_t n = 0; n < graph.nodes[k].size(); ++n) {
        if (graph.nodes[k][n].source == s) row.terms.push_back({out.x[k][n], 1});
      }
      if (row.terms.empty()) continue;
      row.terms.push_back({used, -1});
      out.model.add(std::move(row));
    }
  }
  out.model.add(std::move(sum));
}

Milp make_milp(const Graph& graph) {
  Milp out;
  ilp::Model& m = out.model;
  std::vector<ilp::Row> budget(graph.resources());
  std::vector<ilp::Row> of_model(graph.models);
  const auto charge = [&](size_t variable, const double* cost) {
    for (size_t r = 0; r < graph.resources(); ++r) {
      // Scaled to a budget of 1, so that the solver's absolute tolerances mean the same everywhere.
      const double unit = graph.budget[r] > 0 ? graph.budget[r] : 1;
      if (cost[r] != 0 && unit < kUnlimited) budget[r].terms.push_back({variable, cost[r] / unit});
    }
  };
  for (const auto& nodes : graph.nodes) {
    out.x.emplace_back();
    ilp::Row one{.lower = 1, .upper = 1};
    for (const Node& node : nodes) {
      const size_t x = m.add(ilp::Variable{.upper = 1, .integer = true, .objective = node.value});
      out.x.back().push_back(x);
      one.terms.push_back({x, 1});
      of_model[node.model].terms.push_back({x, 1});
      charge(x, node.cost.data());
    }
    m.add(std::move(one));
  }
  for (size_t k = 0; k + 1 < graph.stages(); ++k) {
    const size_t lefts = graph.nodes[k].size(), rights = graph.nodes[k + 1].size();
    std::vector<ilp::Row> out_of(lefts), into(rights);
    for (size_t a = 0; a < lefts; ++a) {
      for (size_t b = 0; b < rights; ++b) {
        const double value = graph.arc_value[k](a, b);
        if (value == kNever) continue;
        const size_t y = m.add(ilp::Variable{.upper = 1, .objective = value});
        out_of[a].terms.push_back({y, 1});
        into[b].terms.push_back({y, 1});
        charge(y, graph.costs(k, a, b));
      }
    }
    const auto balance = [&](std::vector<ilp::Row>& rows, const std::vector<size_t>& x) {
      for (size_t i = 0; i < rows.size(); ++i) {
        rows[i].terms.push_back({x[i], -1});
        rows[i].lower = rows[i].upper = 0;
        m.add(std::move(rows[i]));
      }
    };
    balance(out_of, out.x[k]);
    balance(into, out.x[k + 1]);
  }
  for (size_t r = 0; r < graph.resources(); ++r) {
    if (graph.budget[r] == kUnlimited) continue;
    budget[r].upper = graph.budget[r] > 0 ? 1 : 0;
    m.add(std::move(budget[r]));
  }
  ilp::Row distinct{.lower = double(graph.min_models)};
  for (ilp::Row& row : of_model) {
    if (graph.min_models > 1) {
      ilp::Row used = row;
      const size_t variable = m.add(ilp::Variable{.upper = 1});
      used.terms.push_back({variable, -1});
      used.lower = 0;
      m.add(std::move(used));
      distinct.terms.push_back({variable, 1});
    }
    if (row.terms.size() <= graph.max_per_model) continue;
    row.upper = double(graph.max_per_model);
    m.add(std::move(row));
  }
  if (graph.min_models > 1) m.add(std::move(distinct));
  if (graph.few_sources()) limit_sources(graph, out);
  for (const NoGood& bad : graph.no_goods) {
    ilp::Row row{.upper = double(bad.most)};
    for (size_t k = 0; k < bad.path.size(); ++k) {
      for (size_t n = 0; n < out.x[k].size(); ++n) {
        if (graph.same_block(k, n, bad.path[k])) row.terms.push_back({out.x[k][n], 1});
      }
    }
    m.add(std::move(row));
  }
  return out;
}

}  // namespace

Answer solve_glpk(const Graph& original, const Clock& clock) {
  Graph graph = original;
  Answer answer;
  for (;;) {
    const Milp milp = make_milp(graph);
    const ilp::Solution solution = ilp::solve(milp.model, "glpk", clock.rest());
    answer.work += solution.nodes;
    answer.bound = solution.bound;
    if (solution.status == ilp::Status::kInfeasible) {
      answer.status = Answer::Status::kInfeasible;
      return answer;
    }
    if (solution.x.empty()) return answer;  // kUnknown
    answer.path.clear();
    for (const auto& stage : milp.x) {
      for (size_t n = 0; n < stage.size(); ++n) {
        if (solution.x[stage[n]] == 1) answer.path.push_back(n);
      }
    }
    if (graph.admits(answer.path)) {
      answer.objective = graph.value_of(answer.path);
      answer.status = solution.status == ilp::Status::kOptimal ? Answer::Status::kOptimal
                                                               : Answer::Status::kFeasible;
      return answer;
    }
    // Over a budget by less than the solver's tolerance: budgets are exact here, so it is cut off.
    graph.no_goods.push_back({answer.path, graph.stages() - 1});
    answer.path.clear();
  }
}

}  // namespace kintsugi::solvers::reassembly
