// Branch and bound over anchors. Networks that must give an anchor are dealt with first: some set of
// each is theirs, and every such assignment is searched on its own under one incumbent.
#include <algorithm>
#include <cmath>

#include "kintsugi/engine/core/error.h"
#include "kintsugi/solvers/partition/bounds.h"
#include "kintsugi/solvers/partition/search.h"

namespace kintsugi::solvers::partition {

namespace {

class Search {
 public:
  Search(const PartitionProblem& problem, const Control& control)
      : clock_(control), layout_(problem), bounds_(layout_) {}

  PartitionResult run(const PartitionOptions& options) {
    start(options);
    double bound = std::numeric_limits<double>::infinity();
    if (tighten(bound)) {
      bound = std::min(bound, layout_.forced().empty() ? branch(0.5, 1) : assign_forced(bound));
    }
    if (anchors_.empty()) found_nothing(clock_);
    return concluded(layout_.finish(cuts_, anchors_), value_, bound, nodes_, clock_);
  }

 private:
  double threshold() const { return anchors_.empty() ? kNever : value_ + tolerance(value_); }

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
    std::vector<Anchor> anchors;
    for (size_t r = 0; r < std::max<size_t>(1, options.restarts) && (r == 0 || !clock_.over());
         ++r) {
      if (random_anchors(layout_, random, anchors)) try_anchors(anchors);
    }
    clock_.report(0.05);
  }

  // Lowers the root's bound until it meets the incumbent or stops moving. False if nothing is left
  // to branch on: proven, or out of time; `bound` then is the final one.
  bool tighten(double& bound) {
    constexpr size_t kRounds = 300;
    if (empty_set()) {
      bound = value_;
      return false;
    }
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
      if (empty_set()) {
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
      bounds_.descend(step, anchors_.empty() ? total - 0.05 * std::abs(total) : value_);
      clock_.report(0.05 + 0.45 * double(round) / double(kRounds));
    }
    bounds_.set_multipliers(best);
    if (!bounds_.compute(clock_)) return false;
    bounds_.drop_below(threshold());
    if (empty_set()) {
      bound = value_;
      return false;
    }
    return true;
  }

  // Every way to give each forced network a set of its own to anchor. Returns a bound over all.
  double assign_forced(double root) {
    const Bounds all = bounds_;
    std::vector<std::vector<size_t>> ways{{}};  // [forced network]: its set
    for (size_t f = 0; f < layout_.forced().size(); ++f) {
      std::vector<std::vector<size_t>> longer;
      for (const auto& way : ways) {
        for (size_t k = 0; k < layout_.sets(); ++k) {
          if (std::find(way.begin(), way.end(), k) != way.end()) continue;
          longer.push_back(way);
          longer.back().push_back(k);
        }
      }
      ways = std::move(longer);
    }
    double bound = value_;
    for (size_t w = 0; w < ways.size(); ++w) {
      bounds_ = all;
      for (size_t f = 0; f < ways[w].size(); ++f) {
        bounds_.restrict(ways[w][f], layout_.forced()[f]);
      }
      double here = root;
      if (tighten(here)) {
        here = std::min(here, branch(0.5 + 0.5 * double(w) / double(ways.size()),
                                     0.5 + 0.5 * double(w + 1) / double(ways.size())));
      }
      bound = std::max(bound, here);
    }
    return std::max(bound, value_);
  }

  bool empty_set() const {
    for (size_t k = 0; k < layout_.sets(); ++k) {
      if (bounds_.candidates(k).empty()) return true;
    }
    return false;
  }

  // Depth first over the anchors of set 1, 2, ...; returns a bound on all that was not excluded.
  // Progress goes from `from` to `to`.
  double branch(double from, double to) {
    from_ = from;
    to_ = to;
    const size_t k = layout_.sets();
    bounds_.sort_by_bound();
    rest_.assign(k + 1, 0);
    for (size_t j = k; j > 0; --j) rest_[j - 1] = rest_[j] + bounds_.candidates(j - 1)[0].bound;
    prefix_.resize(k + 1);
    for (size_t j = 0; j <= k; ++j) {
      prefix_[j].resize(layout_.models());
      for (size_t i = 0; i < layout_.models(); ++i) {
        prefix_[j][i].assign(layout_.states(i, j), 0);
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
      if (depth == 0) clock_.report(from_ + (to_ - from_) * double(n) / double(list.size()));
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

  // The best values of all prefixes that end in each state after set `depth`, its anchor being
  // path_[depth]; returns their bound.
  double extend(size_t depth) {
    const Anchor& a = path_[depth];
    double total = 0;
    for (size_t i = 0; i < layout_.models(); ++i) {
      const Network& n = layout_.network(i);
      const double* s_in = layout_.towards(a.model, a.in, i);
      const double* s_out = layout_.towards(a.model, a.out, i);
      const size_t fewest = layout_.fewest(i, depth), most = layout_.most(i, depth);
      double best = kNever;
      for (size_t b = layout_.fewest(i, depth + 1); b <= layout_.most(i, depth + 1); ++b) {
        double* after = prefix_[depth + 1][i].data() + layout_.state(i, depth + 1, b) - n.low[b];
        const double* charge = bounds_.lambda(depth + 1, i, b);
        const auto before = [&](size_t c) {
          return prefix_[depth][i].data() + layout_.state(i, depth, c) - n.low[c];
        };
        const bool by_block = b > fewest, by_none = b <= most && i != a.model;
        for (size_t e = n.low[b]; e <= n.high[b]; ++e) {
          double value = by_none ? before(b)[e] : kNever;
          if (by_block) {
            const double* from = before(b - 1);
            size_t begin = std::max(n.low[b - 1], n.first_start[e]);
            size_t end = std::min(e, n.high[b - 1] + 1);
            if (i == a.model) {
              begin = std::max(begin, a.in);
              end = e == a.out ? std::min(end, a.in + 1) : begin;
            }
            double block = kNever;
            for (size_t s = begin; s < end; ++s) block = std::max(block, from[s] + s_in[s]);
            value = std::max(value, block + s_out[e]);
          }
          after[e] = value;
          best = std::max(best, value + charge[e]);
        }
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
  std::vector<std::vector<std::vector<double>>> prefix_;  // [layer][network][state]
  double from_ = 0, to_ = 1;
  uint64_t nodes_ = 0;
};

}  // namespace

PartitionResult solve_tied(const PartitionProblem& problem, const PartitionOptions& options,
                           const Control& control) {
  return Search(problem, control).run(options);
}

}  // namespace kintsugi::solvers::partition
