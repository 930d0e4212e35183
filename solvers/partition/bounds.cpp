#include "kintsugi/solvers/partition/bounds.h"

#include <algorithm>

#include "kintsugi/engine/cpu/parallel.h"

namespace kintsugi::solvers::partition {

Bounds::Bounds(const Layout& layout) : layout_(&layout) {
  const size_t k = layout.sets();
  base_.assign(k + 1, std::vector<size_t>(layout.models()));
  lambda_.resize(k + 1);
  for (size_t j = 0; j <= k; ++j) {
    size_t width = 0;
    for (size_t i = 0; i < layout.models(); ++i) {
      base_[j][i] = width;
      width += layout.states(i, j);
    }
    lambda_[j].assign(width, 0);
  }
  direction_ = lambda_;
  without_.assign(k, std::vector<double>(layout.models(), kNever));
  candidates_.resize(k);
  best_.assign(k, std::numeric_limits<double>::infinity());
  for (size_t j = 0; j < k; ++j) {
    for (size_t m = 0; m < layout.models(); ++m) {
      if (!layout.may_anchor(m)) continue;
      const Network& n = layout.network(m);
      std::vector<std::pair<size_t, size_t>> ways;  // (out, in): those with one end together
      for (size_t b = layout.fewest(m, j); b <= layout.most(m, j) && b < n.blocks; ++b) {
        if (b + 1 < layout.fewest(m, j + 1)) continue;
        for (size_t out = n.low[b + 1]; out <= n.high[b + 1]; ++out) {
          for (size_t in = std::max(n.low[b], n.first_start[out]); in <= n.high[b] && in < out;
               ++in) {
            ways.push_back({out, in});
          }
        }
      }
      std::sort(ways.begin(), ways.end());
      ways.erase(std::unique(ways.begin(), ways.end()), ways.end());
      for (const auto& [out, in] : ways) candidates_[j].push_back({{m, in, out}});
    }
  }
}

void Bounds::restrict(size_t k, size_t model) {
  std::erase_if(candidates_[k], [&](const Candidate& c) { return c.anchor.model != model; });
}

void Bounds::compute_without() {
  for (size_t k = 0; k < layout_->sets(); ++k) {
    for (size_t i = 0; i < layout_->models(); ++i) {
      const Network& n = layout_->network(i);
      double best = kNever;
      const size_t most = std::min(layout_->most(i, k), layout_->most(i, k + 1));
      for (size_t b = layout_->fewest(i, k + 1); b <= most; ++b) {
        const double *refund = lambda(k, i, b), *charge = lambda(k + 1, i, b);
        for (size_t p = n.low[b]; p <= n.high[b]; ++p) best = std::max(best, charge[p] - refund[p]);
      }
      without_[k][i] = best;
    }
  }
}

// Candidates [begin, end) of set k share their output. First, for every start of every network,
// the best end; then, for every candidate, the best start.
void Bounds::compute_group(size_t k, size_t begin, size_t end, std::vector<double>& scratch,
                           std::vector<double>& bounds) const {
  const Anchor& shared = candidates_[k][begin].anchor;
  scratch.resize(lambda_[k].size());
  for (size_t i = 0; i < layout_->models(); ++i) {
    const Network& n = layout_->network(i);
    const double* s_out = layout_->towards(shared.model, shared.out, i);
    for (size_t b = layout_->fewest(i, k); b <= layout_->most(i, k); ++b) {
      double* best_end = scratch.data() + base_[k][i] + layout_->state(i, k, b) - n.low[b];
      const bool possible = b < n.blocks && b + 1 >= layout_->fewest(i, k + 1);
      if (!possible) {
        for (size_t s = n.low[b]; s <= n.high[b]; ++s) best_end[s] = kNever;
        continue;
      }
      const double *charge = lambda(k + 1, i, b + 1), *refund = lambda(k, i, b);
      const size_t least = n.low[b + 1], greatest = n.high[b + 1];
      for (size_t s = n.low[b]; s <= n.high[b]; ++s) {
        double best = kNever;
        const size_t last = std::min(greatest, n.last_end[s]);
        for (size_t e = std::max(least, s + 1); e <= last; ++e)
          best = std::max(best, s_out[e] + charge[e]);
        best_end[s] = best - refund[s];
      }
    }
  }
  for (size_t c = begin; c < end; ++c) {
    const Anchor& a = candidates_[k][c].anchor;
    double sum = 0;
    for (size_t i = 0; i < layout_->models(); ++i) {
      const Network& n = layout_->network(i);
      const double* s_in = layout_->towards(a.model, a.in, i);
      const size_t fewest = layout_->fewest(i, k), most = layout_->most(i, k);
      double best = kNever;
      if (i == a.model) {
        const double s = s_in[a.in] + layout_->towards(a.model, a.out, i)[a.out];
        for (size_t b = fewest; b <= most && b < n.blocks; ++b) {
          if (b + 1 < layout_->fewest(i, k + 1) || a.in < n.low[b] || a.in > n.high[b] ||
              a.out < n.low[b + 1] || a.out > n.high[b + 1]) {
            continue;
          }
          best = std::max(best, s - lambda(k, i, b)[a.in] + lambda(k + 1, i, b + 1)[a.out]);
        }
        sum += best;
        continue;
      }
      const double* best_end = scratch.data() + base_[k][i];
      for (size_t b = fewest; b <= most; ++b) {
        const size_t count = n.high[b] - n.low[b] + 1;
        const double* in = s_in + n.low[b];
        double here = kNever;
#pragma omp simd reduction(max : here)
        for (size_t s = 0; s < count; ++s) here = std::max(here, in[s] + best_end[s]);
        best = std::max(best, here);
        best_end += count;
      }
      sum += std::max(best, without_[k][i]);
    }
    bounds[c] = sum;
  }
}

bool Bounds::compute(const Clock& clock) {
  std::vector<std::vector<double>> bounds(layout_->sets());
  compute_without();
  for (size_t k = 0; k < layout_->sets(); ++k) {
    const std::vector<Candidate>& list = candidates_[k];
    bounds[k].resize(list.size());
    std::vector<size_t> groups;
    for (size_t n = 0; n < list.size(); ++n) {
      const bool same = n > 0 && list[n].anchor.model == list[n - 1].anchor.model &&
                        list[n].anchor.out == list[n - 1].anchor.out;
      if (!same) groups.push_back(n);
    }
    groups.push_back(list.size());
    // A thread's start repays itself from some hundred thousand operations on.
    const size_t group_work =
        lambda_[k].size() * (8 + list.size() / std::max<size_t>(1, groups.size()));
    const int64_t grain = int64_t(1 + 1'000'000 / std::max<size_t>(1, group_work));
    // Slices keep a large zoo interruptible.
    constexpr size_t kSlice = 256;
    for (size_t g = 0; g + 1 < groups.size(); g += kSlice) {
      if (clock.over()) return false;
      const size_t count = std::min(kSlice, groups.size() - 1 - g);
      cpu::parallel_for(int64_t(count), grain, [&](int64_t begin, int64_t end) {
        std::vector<double> scratch;
        for (size_t x = g + size_t(begin); x < g + size_t(end); ++x) {
          compute_group(k, groups[x], groups[x + 1], scratch, bounds[k]);
        }
      });
    }
  }
  for (size_t k = 0; k < layout_->sets(); ++k) {
    best_[k] = kNever;
    for (size_t n = 0; n < bounds[k].size(); ++n) {
      candidates_[k][n].bound = bounds[k][n];
      best_[k] = std::max(best_[k], bounds[k][n]);
    }
  }
  return true;
}

double Bounds::total() const {
  double sum = 0;
  for (const double b : best_) sum += b;
  return sum;
}

void Bounds::drop_below(double value) {
  const double sum = total();
  for (size_t k = 0; k < layout_->sets(); ++k) {
    const double rest = sum - best_[k];
    std::erase_if(candidates_[k], [&](const Candidate& c) { return c.bound + rest <= value; });
  }
}

size_t Bounds::alive() const {
  size_t count = 0;
  for (const auto& list : candidates_) count += list.size();
  return count;
}

std::vector<Anchor> Bounds::best_anchors() const {
  std::vector<Anchor> anchors;
  for (const auto& list : candidates_) {
    const auto best = std::max_element(
        list.begin(), list.end(), [](const auto& a, const auto& b) { return a.bound < b.bound; });
    anchors.push_back(best->anchor);
  }
  return anchors;
}

std::pair<size_t, size_t> Bounds::best_way(size_t k, size_t model, const Anchor& a) const {
  const Network& n = layout_->network(model);
  const bool own = model == a.model;
  const double* s_in = layout_->towards(a.model, a.in, model);
  const double* s_out = layout_->towards(a.model, a.out, model);
  double best = kNever;
  std::pair<size_t, size_t> way;
  const auto offer = [&](double value, size_t b, size_t s, size_t c, size_t e) {
    if (value <= best) return;
    best = value;
    way = {layout_->state(model, k, b) + s - n.low[b], layout_->state(model, k + 1, c) + e - n.low[c]};
  };
  for (size_t b = layout_->fewest(model, k); b <= layout_->most(model, k); ++b) {
    const double* refund = lambda(k, model, b);
    if (b < n.blocks && b + 1 >= layout_->fewest(model, k + 1)) {
      const double* charge = lambda(k + 1, model, b + 1);
      for (size_t s = n.low[b]; s <= n.high[b]; ++s) {
        if (own && s != a.in) continue;
        const size_t last = std::min(n.high[b + 1], n.last_end[s]);
        for (size_t e = std::max(n.low[b + 1], s + 1); e <= last; ++e) {
          if (own && e != a.out) continue;
          offer(s_in[s] - refund[s] + s_out[e] + charge[e], b, s, b + 1, e);
        }
      }
    }
    if (own || b < layout_->fewest(model, k + 1) || b > layout_->most(model, k + 1)) continue;
    const double* charge = lambda(k + 1, model, b);
    for (size_t p = n.low[b]; p <= n.high[b]; ++p) offer(charge[p] - refund[p], b, p, b, p);
  }
  return way;
}

void Bounds::descend(double step, double target) {
  // How much of the last direction is kept: it damps the zigzag of plain subgradients.
  constexpr double kDeflection = 0.5;
  const std::vector<Anchor> anchors = best_anchors();
  for (size_t j = 1; j < layout_->sets(); ++j) {
    for (double& d : direction_[j]) d *= kDeflection;
    for (size_t i = 0; i < layout_->models(); ++i) {
      double* d = direction_[j].data() + base_[j][i];
      d[best_way(j - 1, i, anchors[j - 1]).second] += 1 - kDeflection;
      d[best_way(j, i, anchors[j]).first] -= 1 - kDeflection;
    }
  }
  double norm = 0;
  for (const auto& cut : direction_) {
    for (const double d : cut) norm += d * d;
  }
  if (norm < 1e-12) return;
  const double length = step * std::max(total() - target, 1e-9) / norm;
  for (size_t j = 1; j < layout_->sets(); ++j) {
    for (size_t w = 0; w < lambda_[j].size(); ++w) lambda_[j][w] -= length * direction_[j][w];
  }
}

void Bounds::set_multipliers(const Multipliers& lambda) {
  lambda_ = lambda;
  for (auto& cut : direction_) std::fill(cut.begin(), cut.end(), 0.0);
}

void Bounds::sort_by_bound() {
  for (auto& list : candidates_) {
    std::stable_sort(list.begin(), list.end(),
                     [](const Candidate& a, const Candidate& b) { return a.bound > b.bound; });
  }
}

}  // namespace kintsugi::solvers::partition
