#include <algorithm>
#include <cmath>

#include "kintsugi/engine/core/error.h"
#include "kintsugi/solvers/partition/bounds.h"

namespace kintsugi::solvers {

namespace partition {
namespace {

class Search {
 public:
  Search(const PartitionProblem& problem, const Control& control)
      : clock_(control), layout_(problem), bounds_(layout_) {}

  PartitionResult run(const PartitionOptions& options) {
    start(options);
    double bound = std::numeric_limits<double>::infinity();
    if (tighten(bound)) bound = std::min(bound, branch());
    PartitionResult result;
    result.best = layout_.finish(cuts_, anchors_);
    result.optimal = bound <= value_ + tolerance();
    // Proven up to rounding: sums of a few hundred similarities are exact to 1e-13.
    result.bound = result.optimal ? result.best.objective : bound;
    result.gap =
        (result.bound - result.best.objective) / std::max(1e-12, std::abs(result.best.objective));
    result.seconds = clock_.seconds();
    result.nodes = nodes_;
    clock_.report(1);
    return result;
  }

 private:
  double tolerance() const { return 1e-10 * std::max(1.0, std::abs(value_)); }
  double threshold() const { return value_ + tolerance(); }

  void offer(const std::vector<Anchor>& anchors, const std::vector<Cuts>& cuts, double value) {
    if (value <= value_) return;
    value_ = value;
    anchors_ = anchors;
    cuts_ = cuts;
  }

  void try_anchors(std::vector<Anchor> anchors) {
    std::vector<Cuts> cuts;
    const double value = lloyd(layout_, anchors, cuts);
    offer(anchors, cuts, value);
  }

  void start(const PartitionOptions& options) {
    std::mt19937_64 random(options.seed);
    for (size_t r = 0; r < std::max<size_t>(1, options.restarts) && (r == 0 || !clock_.over());
         ++r) {
      try_anchors(random_anchors(layout_, random));
    }
    clock_.report(0.05);
  }

  // Lowers the root's bound until it meets the incumbent or stops moving. False if nothing is left
  // to branch on: proven, or out of time; `bound` then is the final one.
  bool tighten(double& bound) {
    constexpr size_t kRounds = 300;
    Bounds::Multipliers best = bounds_.multipliers();
    double step = 1;
    size_t stale = 0;
    for (size_t round = 0; round < kRounds; ++round) {
      if (!bounds_.compute(clock_)) return false;
      ++nodes_;
      const double total = bounds_.total();
      stale = total < bound - 1e-6 * std::abs(bound) ? 0 : stale + 1;
      if (total < bound) {
        bound = total;
        best = bounds_.multipliers();
      }
      if (bound <= threshold()) return false;
      const std::vector<Anchor> anchors = bounds_.best_anchors();
      std::vector<Cuts> cuts;
      if (layout_.best_partition(anchors, cuts) > value_) try_anchors(anchors);
      bounds_.drop_below(threshold());
      if (empty_stage()) {
        bound = value_;
        return false;
      }
      // A handful of anchors a set is enumerated faster than bounded.
      if (bounds_.alive() <= 3 * layout_.sets()) break;
      if (stale >= 8) {
        step /= 2;
        stale = 0;
        bounds_.set_multipliers(best);
        if (step < 0.02) break;
        continue;
      }
      bounds_.descend(step, value_);
      clock_.report(0.05 + 0.45 * double(round) / double(kRounds));
    }
    bounds_.set_multipliers(best);
    if (!bounds_.compute(clock_)) return false;
    bounds_.drop_below(threshold());
    if (empty_stage()) {
      bound = value_;
      return false;
    }
    return true;
  }

  bool empty_stage() const {
    for (size_t k = 0; k < layout_.sets(); ++k) {
      if (bounds_.candidates(k).empty()) return true;
    }
    return false;
  }

  // Depth first over the anchors of set 1, 2, ...; returns a bound on all that was not excluded.
  double branch() {
    const size_t k = layout_.sets();
    bounds_.sort_by_bound();
    rest_.assign(k + 1, 0);
    for (size_t j = k; j > 0; --j) rest_[j - 1] = rest_[j] + bounds_.candidates(j - 1)[0].bound;
    prefix_.resize(k + 1);
    for (size_t j = 0; j <= k; ++j) {
      prefix_[j].resize(layout_.models());
      for (size_t i = 0; i < layout_.models(); ++i) {
        prefix_[j][i].assign(layout_.high(i, j) - layout_.low(i, j) + 1, 0);
      }
    }
    path_.resize(k);
    return std::max(value_, explore(0, 0));
  }

  // `reached` bounds what the first `depth` sets give, multipliers at the last cut included.
  // Returns the greatest bound among the nodes left unexplored; kNever if none was.
  double explore(size_t depth, double reached) {
    if (depth == layout_.sets()) {
      std::vector<Cuts> cuts;
      std::vector<Anchor> anchors = path_;
      const double value = lloyd(layout_, anchors, cuts);
      offer(anchors, cuts, value);
      return kNever;
    }
    const std::vector<Candidate>& list = bounds_.candidates(depth);
    for (size_t n = 0; n < list.size(); ++n) {
      const double quick = reached + list[n].bound + rest_[depth + 1];
      if (quick <= threshold()) break;
      if (clock_.over()) return quick;
      if (depth == 0) clock_.report(0.5 + 0.5 * double(n) / double(list.size()));
      ++nodes_;
      path_[depth] = list[n].anchor;
      const double prefix = extend(depth);
      if (prefix == kNever || prefix + rest_[depth + 1] <= threshold()) continue;
      const double open = explore(depth + 1, prefix);
      if (open != kNever) {
        const double next =
            n + 1 < list.size() ? reached + list[n + 1].bound + rest_[depth + 1] : kNever;
        return std::max(open, next);
      }
    }
    return kNever;
  }

  // The best values of all prefixes that end at each cut after set `depth`, its anchor being
  // path_[depth]; returns their bound.
  double extend(size_t depth) {
    const Anchor& a = path_[depth];
    double total = 0;
    for (size_t i = 0; i < layout_.models(); ++i) {
      const double* s_in = layout_.towards(a.model, a.in, i);
      const double* s_out = layout_.towards(a.model, a.out, i);
      const size_t s0 = layout_.low(i, depth), s1 = layout_.high(i, depth);
      const size_t e0 = layout_.low(i, depth + 1), e1 = layout_.high(i, depth + 1);
      const double* before = prefix_[depth][i].data() - s0;
      double* after = prefix_[depth + 1][i].data() - e0;
      const double* charge = bounds_.lambda(depth + 1, i) - e0;
      double best = kNever;
      for (size_t e = e0; e <= e1; ++e) {
        size_t begin = std::max(s0, e > layout_.cap(i) ? e - layout_.cap(i) : 0);
        size_t end = std::min(e, s1 + 1);
        if (i == a.model) begin = a.in, end = e == a.out ? a.in + 1 : a.in;
        double value = kNever;
        for (size_t s = begin; s < end; ++s) value = std::max(value, before[s] + s_in[s]);
        after[e] = value + s_out[e];
        best = std::max(best, after[e] + charge[e]);
      }
      if (best == kNever) return kNever;
      total += best;
    }
    return total;
  }

  Clock clock_;
  Layout layout_;
  Bounds bounds_;
  double value_ = kNever;
  std::vector<Anchor> anchors_, path_;
  std::vector<Cuts> cuts_;
  std::vector<double> rest_;  // [depth]: bound of the sets from there on
  std::vector<std::vector<std::vector<double>>> prefix_;  // [cut][network][window]
  uint64_t nodes_ = 0;
};

}  // namespace
}  // namespace partition

PartitionResult exact_partition(const PartitionProblem& problem, const PartitionOptions& options,
                                const Control& control) {
  return partition::Search(problem, control).run(options);
}

}  // namespace kintsugi::solvers
