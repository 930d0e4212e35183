// The partition problem laid out for search: positions, windows of cuts, the inner dynamic
// programme.
#pragma once

#include <random>
#include <span>

#include "kintsugi/solvers/partition.h"

namespace kintsugi::solvers::partition {

inline constexpr double kNever = -std::numeric_limits<double>::infinity();

// An anchor by its positions: input and output, in its network's own count.
struct Anchor {
  size_t model = 0;
  size_t in = 0;
  size_t out = 0;
  friend bool operator==(const Anchor&, const Anchor&) = default;
};

using Cuts = std::vector<size_t>;  // K + 1 positions, 0 and L among them

class Layout {
 public:
  // Validates. The problem must outlive the layout.
  explicit Layout(const PartitionProblem& problem);

  const PartitionProblem& problem() const { return *problem_; }
  size_t models() const { return problem_->nodes.size(); }
  size_t sets() const { return problem_->sets; }
  size_t offset(size_t model) const { return offset_[model]; }
  size_t cap(size_t model) const { return cap_[model]; }
  // Cut j of a network lies in [low, high] in every partition of it.
  size_t low(size_t model, size_t j) const { return low_[model * (sets() + 1) + j]; }
  size_t high(size_t model, size_t j) const { return high_[model * (sets() + 1) + j]; }

  // Similarities of a network's positions to position `p` of network `m`: entry c is s(c, p).
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

  // The best anchor of set k among its blocks, and the set's sum.
  double best_anchor(size_t k, const std::vector<Cuts>& cuts, Anchor& anchor) const;

  // Uniform over the network's partitions.
  Cuts random_cuts(size_t model, std::mt19937_64& random) const;

  Partition finish(const std::vector<Cuts>& cuts, std::span<const Anchor> anchors) const;

 private:
  const PartitionProblem* problem_;
  std::vector<size_t> offset_, cap_, low_, high_;
  Matrix transposed_;      // only where the similarity is not symmetric
  const Matrix* towards_;  // row: the anchor's position
};

// In [0, n), the same on every standard library.
size_t draw(std::mt19937_64& random, size_t n);

// Anchors improved from where they stand, alternating best_partition and best_anchor.
double lloyd(const Layout& layout, std::vector<Anchor>& anchors, std::vector<Cuts>& cuts);

// Compatible anchors: one random partition a network, one random network a set.
std::vector<Anchor> random_anchors(const Layout& layout, std::mt19937_64& random);

}  // namespace kintsugi::solvers::partition
