// Upper bounds of the partition problem by cut splitting (Lagrangian decomposition).
//
// The state in which a network leaves set k and that in which it enters set k + 1 are one. Give each
// its own copy, charge lambda[k](i, c) for leaving in state c and pay it back for entering so: for
// any lambda
//     sum over k of  max over anchors a of  U_k(a)
//     U_k(a) = sum over networks i of max over ways (s, e) of i through set k of
//              S((s, e), a) - lambda[k-1](i, s) + lambda[k](i, e)
// bounds the objective, and an anchor whose U_k is too small to reach the incumbent is gone for
// good. A way is a block, or none at all (then s = e and S = 0).
#pragma once

#include "kintsugi/solvers/clock.h"
#include "kintsugi/solvers/partition/layout.h"

namespace kintsugi::solvers::partition {

struct Candidate {
  Anchor anchor;
  double bound = std::numeric_limits<double>::infinity();  // U_k(anchor)
};

class Bounds {
 public:
  explicit Bounds(const Layout& layout);

  // Leaves set k no anchors but those of one network.
  void restrict(size_t k, size_t model);

  // Recomputes U for the anchors alive, under the current multipliers; false where the clock ran
  // out (then nothing has changed).
  bool compute(const Clock& clock);

  double stage_bound(size_t k) const { return best_[k]; }
  double total() const;

  // Drops the anchors that cannot lead above `value`.
  void drop_below(double value);

  size_t alive() const;
  const std::vector<Candidate>& candidates(size_t k) const { return candidates_[k]; }
  std::vector<Anchor> best_anchors() const;

  // One step of subgradient descent of total() towards `target`, scaled by `step` (Polyak's rule),
  // deflected by the last direction.
  void descend(double step, double target);

  using Multipliers = std::vector<std::vector<double>>;
  const Multipliers& multipliers() const { return lambda_; }
  void set_multipliers(const Multipliers& lambda);

  // lambda[j] of a network, by its states of layer j.
  const double* lambda(size_t j, size_t model) const { return lambda_[j].data() + base_[j][model]; }
  // The same, by point, for the states with b blocks given.
  const double* lambda(size_t j, size_t model, size_t b) const {
    return lambda(j, model) + layout_->state(model, j, b) - layout_->network(model).low[b];
  }
  // The most that a network gives where it has no block in set k; kNever where it must have one.
  double without_block(size_t k, size_t model) const { return without_[k][model]; }

  void sort_by_bound();

 private:
  void compute_group(size_t k, size_t begin, size_t end, std::vector<double>& scratch,
                     std::vector<double>& bounds) const;
  void compute_without();
  // The states in which a network enters and leaves set k at best, for this anchor.
  std::pair<size_t, size_t> best_way(size_t k, size_t model, const Anchor& a) const;

  const Layout* layout_;
  std::vector<std::vector<size_t>> base_;  // [layer][network]: where its states begin
  Multipliers lambda_, direction_;         // [layer][state]
  std::vector<std::vector<double>> without_;
  std::vector<std::vector<Candidate>> candidates_;
  std::vector<double> best_;
};

}  // namespace kintsugi::solvers::partition
