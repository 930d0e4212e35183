// The partition as a mixed-integer programme. Only the choice of anchors is integer: with it fixed,
// every network's flow through its cuts is a path. Products of a cut and an anchor are links of a
// transportation form, one for starts and one for ends, as a similarity is a sum of the two.
#include <cmath>
#include <map>

#include "kintsugi/engine/core/error.h"
#include "kintsugi/solvers/clock.h"
#include "kintsugi/solvers/ilp/model.h"
#include "kintsugi/solvers/partition/layout.h"
#include "kintsugi/solvers/partition/milp.h"
#include "kintsugi/solvers/partition/search.h"

namespace kintsugi::solvers::partition {

namespace {

using ilp::Row;
using ilp::Variable;
using Point = std::pair<size_t, size_t>;  // network, point

class Tied {
 public:
  explicit Tied(const Layout& layout) : layout_(layout) {}

  Programme make() {
    for (size_t i = 0; i < layout_.models(); ++i) flow(i);
    for (size_t k = 0; k < layout_.sets(); ++k) {
      anchors(k);
      for (size_t i = 0; i < layout_.models(); ++i) {
        link(k, i, starts_, by_start_, [](const Arc& a) { return a.s; });
        link(k, i, ends_, by_end_, [](const Arc& a) { return a.e; });
      }
    }
    for (const size_t m : layout_.forced()) {
      Row row{.lower = 1};
      for (const auto& [variable, choice] : out_.anchors) {
        if (choice.anchor.model == m) row.terms.push_back({variable, 1});
      }
      out_.model.add(std::move(row));
    }
    return std::move(out_);
  }

 private:
  struct Arc {
    size_t s, e, variable;
  };

  // A unit of flow through the states of a network, layer by layer: blocks, or none.
  void flow(size_t i) {
    const Network& n = layout_.network(i);
    arcs_.emplace_back(layout_.sets());
    std::vector<std::vector<Row>> balance(layout_.sets() + 1);
    for (size_t j = 0; j <= layout_.sets(); ++j) {
      balance[j].assign(layout_.states(i, j), Row{.lower = 0, .upper = 0});
    }
    balance[0][0] = Row{.lower = -1, .upper = -1};
    balance[layout_.sets()].back() = Row{.lower = 1, .upper = 1};
    const auto state = [&](size_t j, size_t b, size_t p) {
      return layout_.state(i, j, b) + p - n.low[b];
    };
    for (size_t k = 0; k < layout_.sets(); ++k) {
      const auto arc = [&](size_t from, size_t to) {
        const size_t f = out_.model.add(Variable{.upper = 1});
        balance[k][from].terms.push_back({f, -1});
        balance[k + 1][to].terms.push_back({f, 1});
        return f;
      };
      for (size_t b = layout_.fewest(i, k); b <= layout_.most(i, k); ++b) {
        const bool block = b < n.blocks && b + 1 >= layout_.fewest(i, k + 1);
        const bool none = b >= layout_.fewest(i, k + 1) && b <= layout_.most(i, k + 1);
        for (size_t s = n.low[b]; s <= n.high[b]; ++s) {
          if (none) arc(state(k, b, s), state(k + 1, b, s));
          if (!block) continue;
          const size_t last = std::min(n.high[b + 1], n.last_end[s]);
          for (size_t e = std::max(n.low[b + 1], s + 1); e <= last; ++e) {
            arcs_[i][k].push_back({s, e, arc(state(k, b, s), state(k + 1, b + 1, e))});
          }
        }
      }
    }
    for (auto& layer : balance) {
      for (Row& row : layer) out_.model.add(std::move(row));
    }
  }

  // One block of one network anchors set k, and is then in its partition.
  void anchors(size_t k) {
    starts_.clear();
    ends_.clear();
    Row one{.lower = 1, .upper = 1};
    for (size_t m = 0; m < layout_.models(); ++m) {
      if (!layout_.may_anchor(m)) continue;
      std::map<Point, Row> blocks;  // (start, end): anchor - arcs <= 0
      for (const Arc& a : arcs_[m][k]) blocks[{a.s, a.e}].terms.push_back({a.variable, -1});
      for (auto& [block, row] : blocks) {
        const auto [s, e] = block;
        const size_t u = out_.model.add(Variable{.upper = 1, .integer = true});
        out_.anchors.push_back({u, {k, {m, s, e}}});
        one.terms.push_back({u, 1});
        row.upper = 0;
        row.terms.push_back({u, 1});
        out_.model.add(std::move(row));
        starts_[{m, s}].push_back(u);
        ends_[{m, e}].push_back(u);
      }
    }
    out_.model.add(std::move(one));
  }

  using Anchored = std::map<Point, std::vector<size_t>>;  // anchors that begin (or end) at a point

  // Which of them a network's block of set k begins (or ends) beside.
  template <class End>
  void link(size_t k, size_t i, const Anchored& anchored, std::map<size_t, Row>& own,
            const End& end) {
    own.clear();
    for (const Arc& a : arcs_[i][k]) own[end(a)].terms.push_back({a.variable, -1});
    std::vector<Row> of_anchor;
    for (const auto& [point, list] : anchored) {
      of_anchor.push_back(Row{.upper = 0});
      for (const size_t u : list) of_anchor.back().terms.push_back({u, -1});
    }
    for (auto& [p, row] : own) {
      row.lower = row.upper = 0;
      size_t w = 0;
      for (const auto& [point, list] : anchored) {
        const size_t z = out_.model.add(Variable{
            .upper = 1, .objective = layout_.similarity(i, p, point.first, point.second)});
        row.terms.push_back({z, 1});
        of_anchor[w++].terms.push_back({z, 1});
      }
      out_.model.add(std::move(row));
    }
    for (Row& row : of_anchor) out_.model.add(std::move(row));
  }

  const Layout& layout_;
  Programme out_;
  std::vector<std::vector<std::vector<Arc>>> arcs_;  // [network][set]
  Anchored starts_, ends_;
  std::map<size_t, Row> by_start_, by_end_;
};

// How many links there are: what makes the programme large.
double tied_links(const Layout& layout) {
  double links = 0;
  for (size_t k = 0; k < layout.sets(); ++k) {
    double before = 0, after = 0;
    for (size_t i = 0; i < layout.models(); ++i) {
      before += double(layout.states(i, k));
      after += double(layout.states(i, k + 1));
    }
    links += before * before + after * after;
  }
  return links;
}

}  // namespace

PartitionResult solve_milp(const PartitionProblem& problem, const Control& control) {
  const Clock clock(control);
  const Layout layout(problem);
  // About ten networks of DeRy's depths at K = 4 and epsilon 0.2: the relaxation alone then takes GLPK
  // some 20 s, and at fourteen more than minutes.
  constexpr double kMostLinks = 25'000;
  const double links = problem.free_sets ? free_links(layout) : tied_links(layout);
  if (links > kMostLinks) {
    fail(ErrorKind::kUsage, "partition: glpk is for small zoos: a programme of ", links,
         " links between cuts and anchors, expected at most ", kMostLinks,
         "; the own solver has no such limit");
  }
  const Programme programme = problem.free_sets ? free_programme(layout) : Tied(layout).make();
  const ilp::Solution solution = ilp::solve(programme.model, "glpk", clock.rest());
  if (solution.status == ilp::Status::kInfeasible) {
    fail(ErrorKind::kInfeasible, "partition: no choice of anchors obeys the rules");
  }
  if (solution.x.empty()) {
    fail(ErrorKind::kInterrupted, "partition: stopped before glpk found a partition");
  }
  std::vector<Anchor> anchors;
  for (const auto& [variable, choice] : programme.anchors) {
    if (solution.x[variable] == 1) anchors.push_back(choice.anchor);
  }
  PartitionResult result;
  if (problem.free_sets) {
    result.best = free_partition(layout, anchors);
  } else {
    // In the order of sets, as they were added.
    std::vector<Cuts> cuts;
    if (layout.best_partition(anchors, cuts) == kNever) {
      fail(ErrorKind::kNumeric, "partition: glpk's anchors contradict each other");
    }
    result.best = layout.finish(cuts, anchors);
  }
  // The anchors are its answer; their cuts are ours, and no worse.
  const double objective = result.best.objective, slack = 1e-7 * std::max(1.0, std::abs(objective));
  if (objective < solution.objective - 10 * slack) {
    fail(ErrorKind::kNumeric, "partition: glpk claims ", solution.objective,
         ", but its anchors are worth ", objective);
  }
  result.optimal = solution.status == ilp::Status::kOptimal && solution.bound <= objective + slack;
  result.bound = result.optimal ? objective : std::max(objective, solution.bound);
  result.gap = (result.bound - objective) / std::max(1e-12, std::abs(objective));
  result.seconds = clock.seconds();
  result.nodes = solution.nodes;
  return result;
}

}  // namespace kintsugi::solvers::partition
