// Upper bounds of the partition into free sets, a facility location over paths: by Lagrangian
// relaxation of "every block of the partition is served by one anchor". For any prices mu of blocks
//     sum over networks of  max over their partitions of  sum of mu
//   + sum of the K greatest rho(a),
//     rho(a) = sum over networks of max over their partitions of  sum of max(0, S(b, a) - mu(b))
// bounds the objective; in the network of an anchor its block must be in the partition, and is
// served by it at whatever price.
#pragma once

#include "kintsugi/solvers/clock.h"
#include "kintsugi/solvers/partition/layout.h"

namespace kintsugi::solvers::partition {

// What is decided at a node of the search.
struct FreeNode {
  std::vector<Anchor> in;               // anchors
  std::vector<Anchor> open;             // blocks that may become some
  std::vector<double> mu;               // prices, by block
  std::vector<double> direction = {};   // of the last step
};

class FreeBounds {
 public:
  explicit FreeBounds(const Layout& layout);

  // All blocks that may be an anchor; prices at which the path term is the worth of these anchors.
  FreeNode root(std::span<const Anchor> incumbent) const;

  // The node's bound under its prices; drops from `open` what cannot lead above `threshold`, and
  // sorts it by falling rho. False where the clock ran out (then nothing has changed).
  bool compute(FreeNode& node, double threshold, const Clock& clock, double& bound) const;

  // The K anchors of the relaxation, after compute().
  std::vector<Anchor> chosen(const FreeNode& node) const;

  // A step of subgradient descent of `bound` towards `target`.
  void descend(FreeNode& node, double bound, double step, double target) const;

  // Makes open[index] an anchor: what overlaps it is out.
  FreeNode include(const FreeNode& node, size_t index) const;

 private:
  size_t id(size_t model, size_t s, size_t e) const {
    return base_[model][e] + s - layout_.network(model).first_start[e];
  }
  // The best partition of a network by a block's gain(id, s, e); the chosen blocks' ids on request.
  template <class Gain>
  double best_path(size_t model, const Gain& gain, std::vector<size_t>* ids) const;
  double prices(const FreeNode& node, size_t model, std::vector<size_t>* ids) const;
  double rho(const FreeNode& node, const Anchor& a, std::vector<size_t>* ids) const;
  // Of `open`, sorted: those chosen beside `in`, the forced networks' best among them; fewer where
  // there are not enough.
  std::vector<size_t> choose(const FreeNode& node) const;

  const Layout& layout_;
  std::vector<std::vector<size_t>> base_;  // [model][end]: id of its first block that ends there
  size_t count_ = 0;
};

inline bool overlap(const Anchor& a, size_t in, size_t out) {
  return in < a.out && a.in < out;
}

}  // namespace kintsugi::solvers::partition
