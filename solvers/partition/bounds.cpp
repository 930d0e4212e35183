#include "kintsugi/solvers/partition/bounds.h"

#include <algorithm>

#include "kintsugi/engine/cpu/parallel.h"

namespace kintsugi::solvers::partition {

Bounds::Bounds(const Layout& layout) : layout_(layout) {
  const size_t k = layout.sets();
  base_.assign(k + 1, std::vector<size_t>(layout.models()));
  lambda_.resize(k + 1);
  for (size_t j = 0; j <= k; ++j) {
    size_t width = 0;
    for (size_t i = 0; i < layout.models(); ++i) {
      base_[j][i] = width;
      width += layout.high(i, j) - layout.low(i, j) + 1;
    }
    lambda_[j].assign(width, 0);
  }
  direction_ = lambda_;
  candidates_.resize(k);
  best_.assign(k, std::numeric_limits<double>::infinity());
  for (size_t j = 0; j < k; ++j) {
    for (size_t m = 0; m < layout.models(); ++m) {
      for (size_t out = layout.low(m, j + 1); out <= layout.high(m, j + 1); ++out) {
        const size_t least = out > layout.cap(m) ? out - layout.cap(m) : 0;
        for (size_t in = std::max(layout.low(m, j), least); in <= layout.high(m, j) && in < out;
             ++in) {
          candidates_[j].push_back({{m, in, out}});
        }
      }
    }
  }
}

// Candidates [begin, end) of stage k share their output. First, for every start of every network,
// the best end; then, for every candidate, the best start.
void Bounds::compute_group(size_t k, size_t begin, size_t end, std::vector<double>& scratch,
                           std::vector<double>& bounds) const {
  const Anchor& shared = candidates_[k][begin].anchor;
  scratch.resize(lambda_[k].size());
  for (size_t i = 0; i < layout_.models(); ++i) {
    const size_t s0 = layout_.low(i, k), s1 = layout_.high(i, k);
    const size_t e0 = layout_.low(i, k + 1), e1 = layout_.high(i, k + 1);
    const double* s_out = layout_.towards(shared.model, shared.out, i);
    const double* charge = lambda(k + 1, i) - e0;
    const double* refund = lambda(k, i) - s0;
    double* best_end = scratch.data() + base_[k][i] - s0;
    for (size_t s = s0; s <= s1; ++s) {
      double best = kNever;
      const size_t last = std::min(e1, s + layout_.cap(i));
      for (size_t e = std::max(e0, s + 1); e <= last; ++e)
        best = std::max(best, s_out[e] + charge[e]);
      best_end[s] = best - refund[s];
    }
  }
  for (size_t n = begin; n < end; ++n) {
    const Anchor& a = candidates_[k][n].anchor;
    double sum = 0;
    for (size_t i = 0; i < layout_.models(); ++i) {
      const double* s_in = layout_.towards(a.model, a.in, i);
      if (i == a.model) {
        const double* s_out = layout_.towards(a.model, a.out, i);
        sum += s_in[a.in] - lambda(k, i)[a.in - layout_.low(i, k)] + s_out[a.out] +
               lambda(k + 1, i)[a.out - layout_.low(i, k + 1)];
        continue;
      }
      const size_t s0 = layout_.low(i, k), count = layout_.high(i, k) - s0 + 1;
      const double* best_end = scratch.data() + base_[k][i];
      double best = kNever;
#pragma omp simd reduction(max : best)
      for (size_t s = 0; s < count; ++s) best = std::max(best, s_in[s0 + s] + best_end[s]);
      sum += best;
    }
    bounds[n] = sum;
  }
}

bool Bounds::compute(const Clock& clock) {
  std::vector<std::vector<double>> bounds(layout_.sets());
  for (size_t k = 0; k < layout_.sets(); ++k) {
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
  for (size_t k = 0; k < layout_.sets(); ++k) {
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
  for (size_t k = 0; k < layout_.sets(); ++k) {
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

std::pair<size_t, size_t> Bounds::best_block(size_t k, size_t model, const Anchor& a) const {
  if (model == a.model) return {a.in, a.out};
  const double* s_in = layout_.towards(a.model, a.in, model);
  const double* s_out = layout_.towards(a.model, a.out, model);
  const size_t s0 = layout_.low(model, k), e0 = layout_.low(model, k + 1);
  double best = kNever;
  std::pair<size_t, size_t> block;
  for (size_t s = s0; s <= layout_.high(model, k); ++s) {
    const double in = s_in[s] - lambda(k, model)[s - s0];
    const size_t last = std::min(layout_.high(model, k + 1), s + layout_.cap(model));
    for (size_t e = std::max(e0, s + 1); e <= last; ++e) {
      if (const double v = in + s_out[e] + lambda(k + 1, model)[e - e0]; v > best) {
        best = v;
        block = {s, e};
      }
    }
  }
  return block;
}

void Bounds::descend(double step, double target) {
  // How much of the last direction is kept: it damps the zigzag of plain subgradients.
  constexpr double kDeflection = 0.5;
  const std::vector<Anchor> anchors = best_anchors();
  for (size_t j = 1; j < layout_.sets(); ++j) {
    for (double& d : direction_[j]) d *= kDeflection;
    for (size_t i = 0; i < layout_.models(); ++i) {
      double* d = direction_[j].data() + base_[j][i];
      const size_t low = layout_.low(i, j);
      d[best_block(j - 1, i, anchors[j - 1]).second - low] += 1 - kDeflection;
      d[best_block(j, i, anchors[j]).first - low] -= 1 - kDeflection;
    }
  }
  double norm = 0;
  for (const auto& cut : direction_) {
    for (const double d : cut) norm += d * d;
  }
  if (norm < 1e-12) return;
  const double length = step * std::max(total() - target, 1e-9) / norm;
  for (size_t j = 1; j < layout_.sets(); ++j) {
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
