#include "kintsugi/solvers/reassembly/multipliers.h"

#include <algorithm>
#include <cmath>

namespace kintsugi::solvers::reassembly {

// Rows: the resources first, then the networks that could exceed their cap, then the no-goods.
Multipliers::Multipliers(const Graph& graph, std::vector<std::vector<double>> extra)
    : graph_(graph), extra_(std::move(extra)) {
  for (const double budget : graph.budget) {
    const bool binds = budget > 0 && budget < kUnlimited;
    unit_.push_back(binds ? budget : 0);
    limit_.push_back(binds ? 1 : 0);
  }
  std::vector<size_t> stages_of(graph.models, 0), row_of(graph.models, SIZE_MAX);
  for (const auto& nodes : graph.nodes) {
    std::vector<char> seen(graph.models, 0);
    for (const Node& node : nodes) {
      stages_of[node.model] += !seen[node.model];
      seen[node.model] = 1;
    }
  }
  for (size_t m = 0; m < graph.models; ++m) {
    if (stages_of[m] <= graph.max_per_model) continue;
    row_of[m] = limit_.size();
    limit_.push_back(double(graph.max_per_model));
  }
  const size_t first_no_good = limit_.size();
  for (const NoGood& bad : graph.no_goods) limit_.push_back(double(bad.most));
  for (size_t k = 0; k < graph.stages(); ++k) {
    node_terms_.emplace_back(graph.nodes[k].size());
    for (size_t n = 0; n < graph.nodes[k].size(); ++n) {
      auto& terms = node_terms_[k][n];
      if (const size_t row = row_of[graph.nodes[k][n].model]; row != SIZE_MAX)
        terms.push_back({row, 1});
      for (size_t g = 0; g < graph.no_goods.size(); ++g) {
        if (graph.same_block(k, graph.no_goods[g].path[k], n))
          terms.push_back({first_no_good + g, 1});
      }
    }
    net_node_.emplace_back(graph.nodes[k].size());
    rest_.emplace_back(graph.nodes[k].size());
  }
  net_arc_ = graph.arc_value;
  prices_.assign(limit_.size(), 0);
  price();
}

void Multipliers::price() {
  const size_t resources = graph_.resources();
  std::vector<double> rate(resources);
  for (size_t r = 0; r < resources; ++r) rate[r] = unit_[r] > 0 ? prices_[r] / unit_[r] : 0;
  for (size_t k = 0; k < graph_.stages(); ++k) {
    for (size_t n = 0; n < graph_.nodes[k].size(); ++n) {
      const Node& node = graph_.nodes[k][n];
      double net = node.value + (extra_.empty() ? 0 : extra_[k][n]);
      for (size_t r = 0; r < resources; ++r) net -= rate[r] * node.cost[r];
      for (const Term& term : node_terms_[k][n]) net -= prices_[term.row] * term.coefficient;
      net_node_[k][n] = net;
    }
    if (k + 1 == graph_.stages()) break;
    const size_t rights = graph_.nodes[k + 1].size();
    for (size_t a = 0; a < graph_.nodes[k].size(); ++a) {
      for (size_t b = 0; b < rights; ++b) {
        double net = graph_.arc_value[k](a, b);
        if (net == kNever) continue;
        const double* cost = graph_.costs(k, a, b);
        for (size_t r = 0; r < resources; ++r) net -= rate[r] * cost[r];
        net_arc_[k](a, b) = net;
      }
    }
  }
  constant_ = 0;
  for (size_t row = 0; row < limit_.size(); ++row) constant_ += prices_[row] * limit_[row];
}

double Multipliers::value_of(const Path& path) const {
  double value = graph_.value_of(path);
  for (size_t k = 0; k < extra_.size(); ++k) value += extra_[k][path[k]];
  return value;
}

// Fills rest_ backwards; returns the bound and the path that attains it (empty: there is none).
double Multipliers::longest(Path& path) {
  const size_t stages = graph_.stages();
  std::vector<std::vector<size_t>> next(stages);
  std::fill(rest_.back().begin(), rest_.back().end(), 0.0);
  for (size_t k = stages - 1; k-- > 0;) {
    next[k].assign(graph_.nodes[k].size(), 0);
    for (size_t a = 0; a < graph_.nodes[k].size(); ++a) {
      double best = kNever;
      for (size_t b = 0; b < graph_.nodes[k + 1].size(); ++b) {
        const double value = net_arc_[k](a, b) + net_node_[k + 1][b] + rest_[k + 1][b];
        if (value > best) {
          best = value;
          next[k][a] = b;
        }
      }
      rest_[k][a] = best;
    }
  }
  path.clear();
  double best = kNever;
  for (size_t a = 0; a < graph_.nodes[0].size(); ++a) {
    if (const double value = net_node_[0][a] + rest_[0][a]; value > best) {
      best = value;
      path.assign(1, a);
    }
  }
  if (best == kNever) return kNever;
  for (size_t k = 0; k + 1 < stages; ++k) path.push_back(next[k][path.back()]);
  return best + constant_;
}

void Multipliers::optimise(size_t rounds, Path& best, double& best_value, const Clock& clock) {
  std::vector<double> best_prices = prices_;
  double step = 1;
  size_t stale = 0;
  for (size_t round = 0; round < rounds && step > 1e-4 && !clock.over(); ++round) {
    price();
    Path path;
    const double bound = longest(path);
    if (bound == kNever) {
      bound_ = kNever;
      return;
    }
    if (bound < bound_) {
      stale = bound < bound_ - 1e-5 * std::abs(bound_) ? 0 : stale + 1;
      bound_ = bound;
      best_prices = prices_;
    } else if (++stale >= 10) {
      step /= 2;
      stale = 0;
    }
    if (graph_.admits(path)) {
      if (const double value = value_of(path); value > best_value) {
        best_value = value;
        best = path;
      }
    }
    std::vector<double> slack = limit_;
    const std::vector<double> cost = graph_.cost_of(path);
    for (size_t r = 0; r < cost.size(); ++r) slack[r] -= unit_[r] > 0 ? cost[r] / unit_[r] : 0;
    for (size_t k = 0; k < path.size(); ++k) {
      for (const Term& term : node_terms_[k][path[k]]) slack[term.row] -= term.coefficient;
    }
    double norm = 0;
    for (size_t row = 0; row < slack.size(); ++row) {
      // A price at 0 cannot fall: its slack is no direction.
      if (prices_[row] == 0 && slack[row] > 0) slack[row] = 0;
      norm += slack[row] * slack[row];
    }
    if (norm == 0)
      break;  // nothing is violated, and what has a price is used up: this is the optimum
    const double target =
        best_value > kNever ? best_value : bound_ - 0.05 * std::abs(bound_) - 1e-3;
    const double length = step * std::max(bound - target, 1e-9) / norm;
    for (size_t row = 0; row < slack.size(); ++row) {
      prices_[row] = std::max(0.0, prices_[row] - length * slack[row]);
    }
  }
  prices_ = best_prices;
  price();
  Path path;
  const double bound = longest(path);
  bound_ = std::min(bound_, bound);
}

}  // namespace kintsugi::solvers::reassembly
