#include "kintsugi/solvers/partition/layout.h"

#include <algorithm>
#include <cmath>

namespace kintsugi::solvers::partition {

namespace {

bool is_symmetric(const Matrix& m) {
  for (size_t i = 0; i < m.rows; ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (m(i, j) != m(j, i)) return false;
    }
  }
  return true;
}

}  // namespace

Layout::Layout(const PartitionProblem& problem) : problem_(&problem) {
  validate(problem);
  may_anchor_.assign(problem.nodes.size(), problem.anchors_from.empty());
  for (const size_t m : problem.anchors_from) may_anchor_[m] = 1;
  std::vector<size_t> position;  // of each point, among all networks' positions
  size_t start = 0;
  for (size_t m = 0; m < problem.nodes.size(); ++m) {
    networks_.push_back(network_of(problem, m));
    offset_.push_back(position.size());
    for (const size_t p : networks_.back().position) position.push_back(start + p);
    start += problem.nodes[m] + 1;
  }
  const Matrix& s = problem.similarity;
  if (position.size() == start && is_symmetric(s)) {
    towards_ = &s;
    return;
  }
  points_ = Matrix(position.size(), position.size());
  for (size_t i = 0; i < position.size(); ++i) {
    for (size_t j = 0; j < position.size(); ++j) points_(j, i) = s(position[i], position[j]);
  }
  towards_ = &points_;
}

double Layout::best_cuts(size_t model, std::span<const Anchor> anchors, Cuts& cuts) const {
  const size_t k = sets();
  const Network& n = networks_[model];
  std::vector<double> value{0}, next;
  std::vector<std::vector<size_t>> from(k + 1);  // [layer][state]: the point before
  for (size_t j = 1; j <= k; ++j) {
    const Anchor& a = anchors[j - 1];
    const double* s_in = towards(a.model, a.in, model);
    const double* s_out = towards(a.model, a.out, model);
    const bool own = a.model == model;
    const size_t fewest_before = fewest(model, j - 1), most_before = most(model, j - 1);
    next.assign(states(model, j), kNever);
    from[j].assign(next.size(), 0);
    for (size_t b = fewest(model, j); b <= most(model, j); ++b) {
      const size_t base = state(model, j, b) - n.low[b];
      if (b > fewest_before) {
        const size_t least = n.low[b - 1], greatest = n.high[b - 1];
        const double* before = value.data() + state(model, j - 1, b - 1) - least;
        const size_t first = own ? std::max(a.out, n.low[b]) : n.low[b];
        const size_t last = own ? std::min(a.out, n.high[b]) : n.high[b];
        for (size_t e = first; e <= last; ++e) {
          size_t begin = std::max(least, n.first_start[e]), end = std::min(e, greatest + 1);
          if (own) {
            begin = std::max(begin, a.in);
            end = std::min(end, a.in + 1);
          }
          double best = kNever;
          for (size_t s = begin; s < end; ++s) {
            if (const double v = before[s] + s_in[s]; v > best) {
              best = v;
              from[j][base + e] = s;
            }
          }
          next[base + e] = best + s_out[e];
        }
      }
      if (own || b > most_before) continue;
      const double* before = value.data() + state(model, j - 1, b) - n.low[b];
      for (size_t p = n.low[b]; p <= n.high[b]; ++p) {
        if (before[p] > next[base + p]) {
          next[base + p] = before[p];
          from[j][base + p] = p;
        }
      }
    }
    value.swap(next);
  }
  const double total = value.back();
  if (total == kNever) return kNever;
  cuts.assign(k + 1, n.last());
  size_t b = n.blocks;
  for (size_t j = k; j > 0; --j) {
    cuts[j - 1] = from[j][state(model, j, b) + cuts[j] - n.low[b]];
    if (cuts[j - 1] < cuts[j]) --b;
  }
  return total;
}

double Layout::best_partition(std::span<const Anchor> anchors, std::vector<Cuts>& cuts) const {
  cuts.resize(models());
  double total = 0;
  for (size_t i = 0; i < models(); ++i) {
    const double value = best_cuts(i, anchors, cuts[i]);
    if (value == kNever) return kNever;
    total += value;
  }
  return total;
}

double Layout::best_anchors(const std::vector<Cuts>& cuts, std::vector<Anchor>& anchors) const {
  // [subset of the forced networks that have given one]: the best of the sets so far.
  const size_t subsets = size_t{1} << forced().size();
  std::vector<double> value(subsets, kNever), next(subsets);
  value[0] = 0;
  struct Choice {
    size_t model, subset;  // the anchor's network, and what had been given before
  };
  std::vector<std::vector<Choice>> chosen(sets(), std::vector<Choice>(subsets));
  std::vector<double> worth(models());
  for (size_t k = 0; k < sets(); ++k) {
    for (size_t m = 0; m < models(); ++m) {
      worth[m] = kNever;
      if (!may_anchor(m) || cuts[m][k] == cuts[m][k + 1]) continue;
      const Anchor a{m, cuts[m][k], cuts[m][k + 1]};
      worth[m] = 0;
      for (size_t i = 0; i < models(); ++i) {
        if (cuts[i][k] == cuts[i][k + 1]) continue;
        worth[m] += block_similarity(i, cuts[i][k], cuts[i][k + 1], a);
      }
    }
    std::fill(next.begin(), next.end(), kNever);
    const auto offer = [&](size_t from, size_t to, size_t m) {
      if (value[from] + worth[m] <= next[to]) return;
      next[to] = value[from] + worth[m];
      chosen[k][to] = {m, from};
    };
    const auto best = size_t(std::max_element(worth.begin(), worth.end()) - worth.begin());
    for (size_t subset = 0; subset < subsets; ++subset) {
      if (value[subset] == kNever) continue;
      offer(subset, subset, best);
      for (size_t f = 0; f < forced().size(); ++f) {
        offer(subset, subset | size_t{1} << f, forced()[f]);
      }
    }
    value.swap(next);
  }
  const double total = value[subsets - 1];
  if (total == kNever) return kNever;
  anchors.resize(sets());
  size_t subset = subsets - 1;
  for (size_t k = sets(); k-- > 0;) {
    const auto [m, before] = chosen[k][subset];
    anchors[k] = {m, cuts[m][k], cuts[m][k + 1]};
    subset = before;
  }
  return total;
}

bool Layout::forced_anchor(std::span<const Anchor> anchors) const {
  return std::all_of(forced().begin(), forced().end(), [&](size_t m) {
    return std::any_of(anchors.begin(), anchors.end(),
                       [&](const Anchor& a) { return a.model == m; });
  });
}

Cuts Layout::random_cuts(size_t model, std::mt19937_64& random) const {
  const Network& n = networks_[model];
  // ways(b, p): partitions of the nodes up to p into b blocks, as doubles (they may be many).
  Matrix ways(n.blocks + 1, n.last() + 1);
  ways(0, 0) = 1;
  for (size_t b = 1; b <= n.blocks; ++b) {
    for (size_t e = n.low[b]; e <= n.high[b]; ++e) {
      for (size_t s = n.first_start[e]; s < e; ++s) ways(b, e) += ways(b - 1, s);
    }
  }
  std::vector<size_t> ends(n.blocks + 1, n.last());
  for (size_t b = n.blocks; b > 0; --b) {
    const size_t e = ends[b];
    double left = double(random() >> 11) * 0x1p-53 * ways(b, e);
    size_t chosen = e;
    for (size_t s = n.first_start[e]; s < e; ++s) {
      if (ways(b - 1, s) == 0) continue;
      chosen = s;
      left -= ways(b - 1, s);
      if (left < 0) break;
    }
    ends[b - 1] = chosen;
  }
  // Which sets get a block: each with the odds of the blocks left over the sets left.
  Cuts cuts(sets() + 1, 0);
  for (size_t k = 0, b = 0; k < sets(); ++k) {
    const size_t blocks_left = n.blocks - b, sets_left = sets() - k;
    if (blocks_left == sets_left || draw(random, sets_left) < blocks_left) ++b;
    cuts[k + 1] = ends[b];
  }
  return cuts;
}

Partition Layout::finish(const std::vector<Cuts>& cuts, std::span<const Anchor> anchors) const {
  Partition out;
  for (size_t m = 0; m < models(); ++m) {
    out.cuts.emplace_back();
    out.set_of.emplace_back();
    for (size_t k = 0; k < sets(); ++k) {
      if (cuts[m][k] == cuts[m][k + 1]) continue;
      out.set_of[m].push_back(k);
      if (cuts[m][k] > 0) out.cuts[m].push_back(networks_[m].position[cuts[m][k]]);
    }
  }
  for (const Anchor& a : anchors) out.anchors.push_back(block(a.model, a.in, a.out));
  out.objective = evaluate(*problem_, out);
  return out;
}

size_t draw(std::mt19937_64& random, size_t n) {
  // The multiply-high map: a bias below n / 2^64.
  return size_t((static_cast<unsigned __int128>(random()) * n) >> 64);
}

double lloyd(const Layout& layout, std::vector<Anchor>& anchors, std::vector<Cuts>& cuts) {
  double value = layout.best_partition(anchors, cuts);
  if (value == kNever) return value;
  if (!layout.forced_anchor(anchors)) value = kNever;  // their cuts will do
  for (;;) {
    std::vector<Anchor> better;
    const double recentred = layout.best_anchors(cuts, better);
    if (recentred == kNever) return value;
    if (value != kNever && recentred <= value + 1e-12 * std::abs(value)) return value;
    anchors = better;
    value = layout.best_partition(anchors, cuts);
  }
}

bool random_anchors(const Layout& layout, std::mt19937_64& random, std::vector<Anchor>& anchors) {
  const size_t k = layout.sets();
  // Where networks have fewer blocks than there are sets, a draw may leave a set without an anchor.
  for (size_t attempt = 0; attempt < 100; ++attempt) {
    std::vector<Cuts> cuts(layout.models());
    const auto has_block = [&](size_t m, size_t set) {
      if (cuts[m].empty()) cuts[m] = layout.random_cuts(m, random);
      return cuts[m][set] != cuts[m][set + 1];
    };
    std::vector<size_t> giver(k, layout.models());
    bool found = true;
    for (const size_t m : layout.forced()) {
      std::vector<size_t> open;
      for (size_t set = 0; set < k; ++set) {
        if (giver[set] == layout.models() && has_block(m, set)) open.push_back(set);
      }
      found = found && !open.empty();
      if (found) giver[open[draw(random, open.size())]] = m;
    }
    for (size_t set = 0; set < k && found; ++set) {
      // A few draws, then a look at all: few may be allowed to.
      for (size_t n = 0; n < 8 && giver[set] == layout.models(); ++n) {
        const size_t m = draw(random, layout.models());
        if (layout.may_anchor(m) && has_block(m, set)) giver[set] = m;
      }
      for (size_t m = 0; m < layout.models() && giver[set] == layout.models(); ++m) {
        if (layout.may_anchor(m) && has_block(m, set)) giver[set] = m;
      }
      found = giver[set] != layout.models();
    }
    if (!found) continue;
    anchors.resize(k);
    for (size_t set = 0; set < k; ++set) {
      const Cuts& c = cuts[giver[set]];
      anchors[set] = {giver[set], c[set], c[set + 1]};
    }
    return true;
  }
  return false;
}

}  // namespace kintsugi::solvers::partition
