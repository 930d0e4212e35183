// The partition problem laid out for search: points, windows of cuts, the inner dynamic programme.
#pragma once

#include <random>
#include <span>

#include "kintsugi/solvers/partition/network.h"

namespace kintsugi::solvers::partition {

inline constexpr double kNever = -std::numeric_limits<double>::infinity();

// An anchor by the points where it begins and ends.
struct Anchor {
  size_t model = 0;
  size_t in = 0;
  size_t out = 0;
  friend bool operator==(const Anchor&, const Anchor&) = default;
};

// K + 1 points, never falling: the network's block of set k lies between points k and k + 1, and
// there is none where they are the same.
using Cuts = std::vector<size_t>;

// Everything here counts in points. After set j a network has given some number b of its blocks to
// the first j sets; the pairs (b, point) are its states of layer j, a window of points for each b. A
// network of K blocks has one window a layer, b = j.
class Layout {
 public:
  // Validates. The problem must outlive the layout.
  explicit Layout(const PartitionProblem& problem);

  const PartitionProblem& problem() const { return *problem_; }
  size_t models() const { return networks_.size(); }
  size_t sets() const { return problem_->sets; }
  const Network& network(size_t model) const { return networks_[model]; }
  size_t blocks(size_t model) const { return networks_[model].blocks; }
  bool may_anchor(size_t model) const { return may_anchor_[model]; }
  const std::vector<size_t>& forced() const { return problem_->forced; }

  // Blocks given to the first j sets: at least, at most.
  size_t fewest(size_t model, size_t j) const {
    const size_t missing = sets() - blocks(model);
    return j > missing ? j - missing : 0;
  }
  size_t most(size_t model, size_t j) const { return std::min(j, blocks(model)); }
  // The window of b blocks among the network's states of layer j begins here.
  size_t state(size_t model, size_t j, size_t b) const {
    size_t at = 0;
    const Network& n = networks_[model];
    for (size_t c = fewest(model, j); c < b; ++c) at += n.high[c] - n.low[c] + 1;
    return at;
  }
  size_t states(size_t model, size_t j) const { return state(model, j, most(model, j) + 1); }

  // Similarities of a network's points to point `p` of network `m`: entry c is s(c, p).
  const double* towards(size_t m, size_t p, size_t model) const {
    return towards_->values.data() + (offset_[m] + p) * towards_->cols + offset_[model];
  }
  double similarity(size_t model, size_t c, size_t m, size_t p) const {
    return towards(m, p, model)[c];
  }
  double block_similarity(size_t model, size_t in, size_t out, const Anchor& a) const {
    return similarity(model, in, a.model, a.in) + similarity(model, out, a.model, a.out);
  }

  // The best cuts of a network for fixed anchors; a network that gives an anchor must hold it as
  // its block of that set. kNever where it cannot.
  double best_cuts(size_t model, std::span<const Anchor> anchors, Cuts& cuts) const;

  // The whole objective for fixed anchors, and its cuts; kNever where they contradict each other.
  double best_partition(std::span<const Anchor> anchors, std::vector<Cuts>& cuts) const;

  // The best anchors for fixed cuts under the rules, and the objective; kNever where there are none.
  double best_anchors(const std::vector<Cuts>& cuts, std::vector<Anchor>& anchors) const;

  // Whether every network that is to give an anchor does.
  bool forced_anchor(std::span<const Anchor> anchors) const;

  // Uniform over the network's partitions, and over the sets that they may stand in.
  Cuts random_cuts(size_t model, std::mt19937_64& random) const;

  Partition finish(const std::vector<Cuts>& cuts, std::span<const Anchor> anchors) const;
  Block block(size_t model, size_t in, size_t out) const {
    return {model, networks_[model].position[in] + 1, networks_[model].position[out]};
  }

 private:
  const PartitionProblem* problem_;
  std::vector<Network> networks_;
  std::vector<char> may_anchor_;
  std::vector<size_t> offset_;
  Matrix points_;          // only where the similarity is not symmetric, or places are not to be cut
  const Matrix* towards_;  // row: the anchor's point
};

// In [0, n), the same on every standard library.
size_t draw(std::mt19937_64& random, size_t n);

// Anchors improved from where they stand, alternating best_partition and best_anchors. kNever where
// no partition has them.
double lloyd(const Layout& layout, std::vector<Anchor>& anchors, std::vector<Cuts>& cuts);

// Anchors that obey the rules, of one random partition a network; false where none were found.
bool random_anchors(const Layout& layout, std::mt19937_64& random, std::vector<Anchor>& anchors);

// Free sets: the best partition for given anchors.
Partition free_partition(const Layout& layout, std::span<const Anchor> anchors);

}  // namespace kintsugi::solvers::partition
