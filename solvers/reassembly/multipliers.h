// Lagrangian prices of the reassembly's side constraints: every budget, every network's cap and
// every no-good is charged to the nodes and arcs, and a plain longest path bounds what is left.
// Internal.
#pragma once

#include "kintsugi/solvers/reassembly/graph.h"

namespace kintsugi::solvers::reassembly {

class Multipliers {
 public:
  // `extra`: what each node, [stage][node], is worth besides; empty: nothing.
  explicit Multipliers(const Graph& graph, std::vector<std::vector<double>> extra = {});

  // Subgradient descent of the bound; every path on the way that admits() offers `best` a better
  // one.
  void optimise(size_t rounds, Path& best, double& best_value, const Clock& clock);

  double bound() const { return bound_; }        // no path is worth more
  double constant() const { return constant_; }  // sum of price times right-hand side
  double node(size_t k, size_t n) const { return net_node_[k][n]; }  // value less charges
  double arc(size_t k, size_t a, size_t b) const { return net_arc_[k](a, b); }
  double rest(size_t k, size_t n) const { return rest_[k][n]; }  // the best net value after node n

 private:
  struct Term {
    size_t row;
    double coefficient;
  };
  void price();
  double value_of(const Path& path) const;
  double longest(Path& path);

  const Graph& graph_;
  std::vector<std::vector<double>> extra_;
  std::vector<double> limit_;  // right-hand side of each row, scaled
  std::vector<double> unit_;   // of each resource; 0: its budget binds nothing
  std::vector<std::vector<std::vector<Term>>> node_terms_;  // [stage][node], caps and no-goods
  std::vector<double> prices_;
  std::vector<std::vector<double>> net_node_, rest_;
  std::vector<Matrix> net_arc_;
  double constant_ = 0, bound_ = kUnlimited;
};

}  // namespace kintsugi::solvers::reassembly
