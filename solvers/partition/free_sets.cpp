// Free sets: branch and bound over which blocks are anchors, under the bounds of free_bounds.h. With
// the anchors given, every network's best partition is a dynamic programme.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "kintsugi/engine/core/error.h"
#include "kintsugi/solvers/partition/free_bounds.h"
#include "kintsugi/solvers/partition/search.h"

namespace kintsugi::solvers::partition {

namespace {

// One network's blocks: their ends as points, the first and the last among them.
using Ends = std::vector<size_t>;

// The set that a block stands in: an anchor's own, else that of the anchor that it is most like.
// kNever where it is part of an anchor's nodes, but not the anchor.
std::pair<double, size_t> best_set(const Layout& layout, size_t model, size_t s, size_t e,
                                   std::span<const Anchor> anchors) {
  std::pair<double, size_t> best{kNever, 0};
  for (size_t k = 0; k < anchors.size(); ++k) {
    const Anchor& a = anchors[k];
    const double like = layout.block_similarity(model, s, e, a);
    if (a.model == model && overlap(a, s, e)) {
      return a.in == s && a.out == e ? std::pair{like, k} : std::pair{kNever, k};
    }
    if (like > best.first) best = {like, k};
  }
  return best;
}

double best_ends(const Layout& layout, size_t model, std::span<const Anchor> anchors, Ends& ends) {
  const Network& n = layout.network(model);
  const size_t width = n.last() + 1;
  std::vector<double> value(width, kNever), next;
  std::vector<size_t> from((n.blocks + 1) * width);
  // A block's worth does not depend on how many stand before it.
  std::vector<std::vector<double>> worth(width);
  for (size_t e = 1; e < width; ++e) {
    for (size_t s = n.first_start[e]; s < e; ++s) {
      worth[e].push_back(best_set(layout, model, s, e, anchors).first);
    }
  }
  value[0] = 0;
  for (size_t b = 1; b <= n.blocks; ++b) {
    next.assign(width, kNever);
    for (size_t e = n.low[b]; e <= n.high[b]; ++e) {
      const size_t end = std::min(e, n.high[b - 1] + 1);
      for (size_t s = std::max(n.low[b - 1], n.first_start[e]); s < end; ++s) {
        if (const double v = value[s] + worth[e][s - n.first_start[e]]; v > next[e]) {
          next[e] = v;
          from[b * width + e] = s;
        }
      }
    }
    value.swap(next);
  }
  if (value[n.last()] == kNever) return kNever;
  ends.assign(n.blocks + 1, n.last());
  for (size_t b = n.blocks; b > 0; --b) ends[b - 1] = from[b * width + ends[b]];
  return value[n.last()];
}

double best_partition(const Layout& layout, std::span<const Anchor> anchors,
                      std::vector<Ends>& ends) {
  for (size_t k = 0; k < anchors.size(); ++k) {
    for (size_t j = 0; j < k; ++j) {
      if (anchors[j].model == anchors[k].model && overlap(anchors[j], anchors[k].in, anchors[k].out))
        return kNever;
    }
  }
  ends.resize(layout.models());
  double total = 0;
  for (size_t m = 0; m < layout.models(); ++m) {
    const double value = best_ends(layout, m, anchors, ends[m]);
    if (value == kNever) return kNever;
    total += value;
  }
  return total;
}

// Each set's best anchor among its blocks.
std::vector<Anchor> recentred(const Layout& layout, std::span<const Anchor> anchors,
                              const std::vector<Ends>& ends) {
  std::vector<std::vector<Anchor>> members(anchors.size());
  for (size_t m = 0; m < ends.size(); ++m) {
    for (size_t b = 0; b + 1 < ends[m].size(); ++b) {
      members[best_set(layout, m, ends[m][b], ends[m][b + 1], anchors).second].push_back(
          {m, ends[m][b], ends[m][b + 1]});
    }
  }
  std::vector<Anchor> out(anchors.begin(), anchors.end());
  for (size_t k = 0; k < out.size(); ++k) {
    double best = kNever;
    for (const Anchor& a : members[k]) {
      if (!layout.may_anchor(a.model)) continue;
      double sum = 0;
      for (const Anchor& b : members[k]) sum += layout.block_similarity(b.model, b.in, b.out, a);
      if (sum > best) {
        best = sum;
        out[k] = a;
      }
    }
  }
  return out;
}

// Sets in the order of their anchors' depth: a reassembly takes its blocks set by set.
Partition finish(const Layout& layout, std::span<const Anchor> anchors,
                 const std::vector<Ends>& ends) {
  std::vector<size_t> order(anchors.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const auto block = [&](size_t k) {
    return layout.block(anchors[k].model, anchors[k].in, anchors[k].out);
  };
  const auto depth = [&](size_t k) {
    const Block b = block(k);
    return double(b.first + b.last) / double(layout.problem().nodes[b.model]);
  };
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return depth(a) < depth(b); });
  std::vector<size_t> rank(order.size());
  for (size_t k = 0; k < order.size(); ++k) rank[order[k]] = k;
  Partition out;
  for (const size_t k : order) out.anchors.push_back(block(k));
  for (size_t m = 0; m < layout.models(); ++m) {
    out.cuts.emplace_back();
    out.set_of.emplace_back();
    for (size_t b = 0; b + 1 < ends[m].size(); ++b) {
      const size_t s = ends[m][b], e = ends[m][b + 1];
      if (s > 0) out.cuts[m].push_back(layout.network(m).position[s]);
      out.set_of[m].push_back(rank[best_set(layout, m, s, e, anchors).second]);
    }
  }
  out.objective = evaluate(layout.problem(), out);
  return out;
}

class Search {
 public:
  Search(const PartitionProblem& problem, const Control& control)
      : clock_(control), layout_(problem), bounds_(layout_) {}

  PartitionResult run(const PartitionOptions& options) {
    start(options);
    // No block is more like its anchor than twice the greatest similarity.
    double blocks = 0;
    for (size_t m = 0; m < layout_.models(); ++m) blocks += double(layout_.blocks(m));
    const std::vector<double>& s = layout_.problem().similarity.values;
    const double most = 2 * blocks * *std::max_element(s.begin(), s.end());
    const double bound = std::max(value_, explore(bounds_.root(anchors_), most, 300, 0, 1));
    if (anchors_.empty()) found_nothing(clock_);
    return concluded(finish(layout_, anchors_, ends_), value_, bound, nodes_, clock_);
  }

 private:
  double threshold() const { return anchors_.empty() ? kNever : value_ + tolerance(value_); }

  void try_anchors(std::vector<Anchor> anchors) {
    std::vector<Ends> ends;
    double last = kNever;
    while (layout_.forced_anchor(anchors)) {
      const double value = best_partition(layout_, anchors, ends);
      if (value == kNever || value <= last + 1e-12 * std::abs(value)) return;
      last = value;
      if (value > value_) {
        value_ = value;
        anchors_ = anchors;
        ends_ = ends;
      }
      anchors = recentred(layout_, anchors, ends);
    }
  }

  // Sets tied to stages are one way to be free: the best of them first. Random blocks are another.
  void start(const PartitionOptions& options) {
    try_tied(options);
    std::mt19937_64 random(options.seed);
    for (size_t r = 0; r < std::max<size_t>(1, options.restarts) && (r == 0 || !clock_.over());
         ++r) {
      std::vector<Anchor> anchors;
      if (r % 2 == 0) {
        std::vector<Cuts> cuts;
        if (random_anchors(layout_, random, anchors)) lloyd(layout_, anchors, cuts);
      } else {
        anchors = random_blocks(random);
      }
      if (anchors.size() == layout_.sets()) try_anchors(anchors);
    }
    clock_.report(0.05);
  }

  void try_tied(const PartitionOptions& options) {
    Control some = clock_.rest();
    some.seconds = std::min(some.seconds / 10, 5.0);
    std::vector<Anchor> anchors;
    try {
      for (const Block& b : solve_tied(layout_.problem(), options, some).best.anchors) {
        const auto& at = layout_.network(b.model).position;
        const auto point = [&](size_t p) {
          return size_t(std::lower_bound(at.begin(), at.end(), p) - at.begin());
        };
        anchors.push_back({b.model, point(b.first - 1), point(b.last)});
      }
    } catch (const Error& error) {
      // The rules may leave free sets only, or the time be too short.
      if (error.kind() != ErrorKind::kInfeasible && error.kind() != ErrorKind::kInterrupted) throw;
    }
    if (!anchors.empty()) try_anchors(anchors);
  }

  std::vector<Anchor> random_blocks(std::mt19937_64& random) const {
    std::vector<Anchor> of_forced, rest;
    for (size_t m = 0; m < layout_.models(); ++m) {
      if (!layout_.may_anchor(m)) continue;
      const Cuts cuts = layout_.random_cuts(m, random);
      std::vector<Anchor> blocks;
      for (size_t k = 0; k < layout_.sets(); ++k) {
        if (cuts[k] < cuts[k + 1]) blocks.push_back({m, cuts[k], cuts[k + 1]});
      }
      const auto& forced = layout_.forced();
      if (std::find(forced.begin(), forced.end(), m) != forced.end()) {
        const size_t n = draw(random, blocks.size());
        of_forced.push_back(blocks[n]);
        blocks.erase(blocks.begin() + ptrdiff_t(n));
      }
      rest.insert(rest.end(), blocks.begin(), blocks.end());
    }
    while (of_forced.size() < layout_.sets() && !rest.empty()) {
      const size_t n = draw(random, rest.size());
      of_forced.push_back(rest[n]);
      rest.erase(rest.begin() + ptrdiff_t(n));
    }
    return of_forced;
  }

  // A bound on all that the node holds and that was not excluded; kNever: nothing is left. Progress
  // goes from `from` to `to`.
  double explore(FreeNode node, double parent, size_t rounds, double from, double to) {
    double bound = parent;
    if (!tighten(node, bound, rounds)) return bound;
    if (node.in.size() == layout_.sets()) {
      try_anchors(node.in);
      return kNever;
    }
    if (node.in.size() + node.open.size() == layout_.sets()) {
      try_anchors(bounds_.chosen(node));
      // Blocks that contradict each other leave nothing; else these were the only anchors left.
      return kNever;
    }
    if (clock_.over()) return bound;
    // The relaxation's first anchor: with it, then without.
    const double middle = (from + to) / 2;
    const double with = explore(bounds_.include(node, 0), bound, 20, from, middle);
    clock_.report(0.05 + 0.95 * middle);
    node.open.erase(node.open.begin());
    return std::max(with, explore(std::move(node), bound, 20, middle, to));
  }

  // Lowers the node's bound by its prices. False if there is nothing to branch on: excluded (then
  // the bound is kNever) or out of time.
  bool tighten(FreeNode& node, double& bound, size_t rounds) {
    double step = 1;
    size_t stale = 0;
    std::vector<double> best_mu = node.mu;
    double best = std::numeric_limits<double>::infinity();
    for (size_t round = 0; round < rounds; ++round) {
      double here = 0;
      if (!bounds_.compute(node, threshold(), clock_, here)) return false;
      ++nodes_;
      stale = here < best - 1e-6 * std::abs(best) ? 0 : stale + 1;
      if (here < best) {
        best = here;
        best_mu = node.mu;
      }
      if (best <= threshold() || best == kNever) {
        bound = kNever;
        return false;
      }
      bound = std::min(bound, best);
      const std::vector<Anchor> anchors = bounds_.chosen(node);
      if (anchors.size() == layout_.sets()) try_anchors(anchors);
      if (best <= threshold()) {
        bound = kNever;
        return false;
      }
      // A handful is branched on faster than bounded.
      if (node.in.size() + node.open.size() <= layout_.sets() + 1) return true;
      if (stale >= 5) {
        step /= 2;
        stale = 0;
        node.mu = best_mu;
        std::fill(node.direction.begin(), node.direction.end(), 0.0);
        if (step < 0.02) break;
        continue;
      }
      bounds_.descend(node, here, step, anchors_.empty() ? 0.95 * here : value_);
      if (rounds > 100) clock_.report(0.05 * double(round) / double(rounds));
    }
    node.mu = best_mu;
    return true;
  }

  Clock clock_;
  Layout layout_;
  FreeBounds bounds_;
  double value_ = kNever;
  std::vector<Anchor> anchors_;
  std::vector<Ends> ends_;
  uint64_t nodes_ = 0;
};

}  // namespace

Partition free_partition(const Layout& layout, std::span<const Anchor> anchors) {
  std::vector<Ends> ends;
  if (best_partition(layout, anchors, ends) == kNever) {
    fail(ErrorKind::kNumeric, "partition: these anchors contradict each other");
  }
  return finish(layout, anchors, ends);
}

PartitionResult solve_free(const PartitionProblem& problem, const PartitionOptions& options,
                           const Control& control) {
  return Search(problem, control).run(options);
}

}  // namespace kintsugi::solvers::partition
