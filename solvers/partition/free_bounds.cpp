#include "kintsugi/solvers/partition/free_bounds.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kintsugi/engine/cpu/parallel.h"

namespace kintsugi::solvers::partition {

FreeBounds::FreeBounds(const Layout& layout) : layout_(layout), base_(layout.models()) {
  for (size_t m = 0; m < layout.models(); ++m) {
    const Network& n = layout.network(m);
    for (size_t e = 0; e <= n.last(); ++e) {
      base_[m].push_back(count_);
      count_ += e - n.first_start[e];
    }
  }
}

FreeNode FreeBounds::root(std::span<const Anchor> incumbent) const {
  FreeNode node;
  node.mu.assign(count_, 0);
  for (size_t m = 0; m < layout_.models(); ++m) {
    const Network& n = layout_.network(m);
    for (size_t e = 1; e <= n.last(); ++e) {
      for (size_t s = n.first_start[e]; s < e; ++s) {
        double& price = node.mu[id(m, s, e)];
        price = incumbent.empty() ? 1 : kNever;
        for (const Anchor& a : incumbent) {
          price = std::max(price, layout_.block_similarity(m, s, e, a));
        }
        bool possible = false;  // as some block of a partition
        for (size_t b = 0; b < n.blocks && !possible; ++b) {
          possible = s >= n.low[b] && s <= n.high[b] && e >= n.low[b + 1] && e <= n.high[b + 1];
        }
        if (possible && layout_.may_anchor(m)) node.open.push_back({m, s, e});
      }
    }
  }
  node.direction.assign(count_, 0);
  return node;
}

template <class Gain>
double FreeBounds::best_path(size_t model, const Gain& gain, std::vector<size_t>* ids) const {
  const Network& n = layout_.network(model);
  const size_t width = n.last() + 1;
  thread_local std::vector<double> value, next;
  value.assign(width, kNever);
  value[0] = 0;
  std::vector<size_t> from;
  if (ids) from.assign((n.blocks + 1) * width, 0);
  for (size_t b = 1; b <= n.blocks; ++b) {
    next.assign(width, kNever);
    for (size_t e = n.low[b]; e <= n.high[b]; ++e) {
      const size_t begin = std::max(n.low[b - 1], n.first_start[e]);
      const size_t end = std::min(e, n.high[b - 1] + 1);
      size_t at = id(model, begin, e);
      double best = kNever;
      for (size_t s = begin; s < end; ++s, ++at) {
        const double v = value[s] + gain(at, s, e);
        if (v <= best) continue;
        best = v;
        if (ids) from[b * width + e] = s;
      }
      next[e] = best;
    }
    value.swap(next);
  }
  const double total = value[n.last()];
  if (!ids || total == kNever) return total;
  for (size_t b = n.blocks, e = n.last(); b > 0; --b) {
    const size_t s = from[b * width + e];
    ids->push_back(id(model, s, e));
    e = s;
  }
  return total;
}

double FreeBounds::prices(const FreeNode& node, size_t model, std::vector<size_t>* ids) const {
  const bool decided = std::any_of(node.in.begin(), node.in.end(),
                                   [&](const Anchor& a) { return a.model == model; });
  if (!decided) {
    return best_path(model, [&](size_t at, size_t, size_t) { return node.mu[at]; }, ids);
  }
  return best_path(
      model,
      [&](size_t at, size_t s, size_t e) {
        for (const Anchor& a : node.in) {
          if (a.model == model && overlap(a, s, e) && (a.in != s || a.out != e)) return kNever;
        }
        return node.mu[at];
      },
      ids);
}

double FreeBounds::rho(const FreeNode& node, const Anchor& a, std::vector<size_t>* ids) const {
  double sum = 0;
  std::vector<size_t> path;
  for (size_t i = 0; i < layout_.models(); ++i) {
    const double* s_in = layout_.towards(a.model, a.in, i);
    const double* s_out = layout_.towards(a.model, a.out, i);
    bool decided = i == a.model;
    for (const Anchor& other : node.in) decided |= other.model == i;
    const auto gain = [&](size_t at, size_t s, size_t e) {
      return std::max(0.0, s_in[s] + s_out[e] - node.mu[at]);
    };
    path.clear();
    if (!decided) {
      sum += best_path(i, gain, ids ? &path : nullptr);
    } else {
      sum += best_path(
          i,
          [&](size_t at, size_t s, size_t e) {
            if (i == a.model && overlap(a, s, e)) {
              return s == a.in && e == a.out ? s_in[s] + s_out[e] - node.mu[at] : kNever;
            }
            for (const Anchor& other : node.in) {
              if (other.model != i || !overlap(other, s, e)) continue;
              // Another anchor is served by itself.
              return other.in == s && other.out == e ? 0 : kNever;
            }
            return gain(at, s, e);
          },
          ids ? &path : nullptr);
    }
    if (sum == kNever) return kNever;
    if (!ids) continue;
    const Network& n = layout_.network(i);
    size_t e = n.last();
    for (const size_t at : path) {
      const size_t s = at - base_[i][e] + n.first_start[e];
      const bool itself = i == a.model && s == a.in && e == a.out;
      bool other = false;
      for (const Anchor& o : node.in) other |= !(o == a) && o.model == i && o.in == s && o.out == e;
      if (itself || (!other && s_in[s] + s_out[e] - node.mu[at] > 0)) ids->push_back(at);
      e = s;
    }
  }
  return sum;
}

std::vector<size_t> FreeBounds::choose(const FreeNode& node) const {
  const size_t wanted = layout_.sets() - node.in.size();
  std::vector<size_t> chosen;
  const auto given = [&](size_t model) {
    return std::any_of(node.in.begin(), node.in.end(),
                       [&](const Anchor& a) { return a.model == model; });
  };
  for (const size_t m : layout_.forced()) {
    if (given(m)) continue;
    size_t n = 0;
    while (n < node.open.size() && node.open[n].model != m) ++n;
    if (n == node.open.size()) return {};
    chosen.push_back(n);
  }
  for (size_t n = 0; n < node.open.size() && chosen.size() < wanted; ++n) {
    if (std::find(chosen.begin(), chosen.end(), n) == chosen.end()) chosen.push_back(n);
  }
  return chosen;
}

bool FreeBounds::compute(FreeNode& node, double threshold, const Clock& clock,
                         double& bound) const {
  std::vector<double> value(node.open.size());
  // Slices keep a large zoo interruptible.
  constexpr size_t kSlice = 512;
  for (size_t from = 0; from < value.size(); from += kSlice) {
    if (clock.over()) return false;
    const size_t count = std::min(kSlice, value.size() - from);
    cpu::parallel_for(int64_t(count), int64_t(1 + 500'000 / (1 + count_)),
                      [&](int64_t begin, int64_t end) {
                        for (size_t n = from + size_t(begin); n < from + size_t(end); ++n) {
                          value[n] = rho(node, node.open[n], nullptr);
                        }
                      });
  }
  double fixed = 0;
  for (size_t i = 0; i < layout_.models() && fixed != kNever; ++i) fixed += prices(node, i, nullptr);
  for (const Anchor& a : node.in) {
    if (fixed != kNever) fixed += rho(node, a, nullptr);
  }
  std::vector<size_t> order(value.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return value[a] > value[b]; });
  std::vector<Anchor> open;
  std::vector<double> sorted;
  for (const size_t n : order) {
    if (value[n] == kNever) break;
    open.push_back(node.open[n]);
    sorted.push_back(value[n]);
  }
  node.open = std::move(open);
  const size_t wanted = layout_.sets() - node.in.size();
  const std::vector<size_t> best = choose(node);
  if (fixed == kNever || best.size() < wanted || best.size() > wanted) {
    bound = kNever;
    node.open.clear();
    return true;
  }
  double sum = fixed;
  for (const size_t n : best) sum += sorted[n];
  bound = sum;
  if (wanted == 0) return true;
  // With any other, the rest are at best the greatest that there are.
  double rest = fixed;
  for (size_t n = 0; n + 1 < wanted; ++n) rest += sorted[n];
  std::vector<Anchor> kept;
  for (size_t n = 0; n < node.open.size(); ++n) {
    if (n < wanted || rest + sorted[n] > threshold) kept.push_back(node.open[n]);
  }
  node.open = std::move(kept);
  return true;
}

std::vector<Anchor> FreeBounds::chosen(const FreeNode& node) const {
  std::vector<Anchor> anchors = node.in;
  for (const size_t n : choose(node)) anchors.push_back(node.open[n]);
  return anchors;
}

void FreeBounds::descend(FreeNode& node, double bound, double step, double target) const {
  constexpr double kDeflection = 0.5;  // of the last direction, as it damps the zigzag
  for (double& d : node.direction) d *= kDeflection;
  std::vector<size_t> ids;
  for (size_t i = 0; i < layout_.models(); ++i) prices(node, i, &ids);
  for (const size_t at : ids) node.direction[at] += 1 - kDeflection;
  for (const Anchor& a : chosen(node)) {
    ids.clear();
    rho(node, a, &ids);
    for (const size_t at : ids) node.direction[at] -= 1 - kDeflection;
  }
  double norm = 0;
  for (const double d : node.direction) norm += d * d;
  if (norm < 1e-12) return;
  const double length = step * std::max(bound - target, 1e-9) / norm;
  for (size_t at = 0; at < node.mu.size(); ++at) node.mu[at] -= length * node.direction[at];
}

FreeNode FreeBounds::include(const FreeNode& node, size_t index) const {
  FreeNode next = node;
  const Anchor a = node.open[index];
  next.in.push_back(a);
  std::erase_if(next.open, [&](const Anchor& other) {
    return other.model == a.model && overlap(a, other.in, other.out);
  });
  return next;
}

}  // namespace kintsugi::solvers::partition
