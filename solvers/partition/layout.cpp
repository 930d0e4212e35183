#include "kintsugi/solvers/partition/layout.h"

#include <algorithm>

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
  const size_t k = sets();
  size_t start = 0;
  for (const size_t nodes : problem.nodes) {
    offset_.push_back(start);
    start += nodes + 1;
    const size_t cap = block_cap(nodes, k, problem.epsilon, problem.size_bound);
    cap_.push_back(cap);
    for (size_t j = 0; j <= k; ++j) {
      const size_t behind = std::min(nodes, (k - j) * cap);
      low_.push_back(std::max(j, nodes - behind));
      high_.push_back(std::min(nodes - (k - j), j * cap));
    }
  }
  const Matrix& s = problem.similarity;
  if (is_symmetric(s)) {
    towards_ = &s;
  } else {
    transposed_ = Matrix(s.cols, s.rows);
    for (size_t i = 0; i < s.rows; ++i) {
      for (size_t j = 0; j < s.cols; ++j) transposed_(j, i) = s(i, j);
    }
    towards_ = &transposed_;
  }
}

double Layout::best_cuts(size_t model, std::span<const Anchor> anchors, Cuts& cuts) const {
  const size_t k = sets();
  const size_t width = problem_->nodes[model] + 1;
  std::vector<double> value(width, kNever), next(width);
  std::vector<size_t> from((k + 1) * width);
  value[0] = 0;
  for (size_t j = 1; j <= k; ++j) {
    const Anchor& a = anchors[j - 1];
    const double* s_in = towards(a.model, a.in, model);
    const double* s_out = towards(a.model, a.out, model);
    std::fill(next.begin(), next.end(), kNever);
    const bool own = a.model == model;
    const size_t first = own ? a.out : low(model, j), last = own ? a.out : high(model, j);
    for (size_t e = first; e <= last; ++e) {
      size_t begin = std::max(low(model, j - 1), e > cap(model) ? e - cap(model) : 0);
      size_t end = std::min(e, high(model, j - 1) + 1);
      if (own) begin = a.in, end = a.in + 1;
      double best = kNever;
      for (size_t s = begin; s < end; ++s) {
        if (const double v = value[s] + s_in[s]; v > best) {
          best = v;
          from[j * width + e] = s;
        }
      }
      next[e] = best + s_out[e];
    }
    value.swap(next);
  }
  const double total = value[width - 1];
  if (total == kNever) return kNever;
  cuts.resize(k + 1);
  cuts[k] = width - 1;
  for (size_t j = k; j > 0; --j) cuts[j - 1] = from[j * width + cuts[j]];
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

double Layout::best_anchor(size_t k, const std::vector<Cuts>& cuts, Anchor& anchor) const {
  double best = kNever;
  for (size_t m = 0; m < models(); ++m) {
    const Anchor candidate{m, cuts[m][k], cuts[m][k + 1]};
    double sum = 0;
    for (size_t i = 0; i < models(); ++i) {
      sum += block_similarity(i, cuts[i][k], cuts[i][k + 1], candidate);
    }
    if (sum > best) {
      best = sum;
      anchor = candidate;
    }
  }
  return best;
}

Cuts Layout::random_cuts(size_t model, std::mt19937_64& random) const {
  const size_t k = sets();
  const size_t nodes = problem_->nodes[model];
  // ways(j, p): partitions of the nodes up to p into j blocks, as doubles (they may be many).
  Matrix ways(k + 1, nodes + 1);
  ways(0, 0) = 1;
  for (size_t j = 1; j <= k; ++j) {
    for (size_t e = low(model, j); e <= high(model, j); ++e) {
      for (size_t s = e > cap(model) ? e - cap(model) : 0; s < e; ++s) ways(j, e) += ways(j - 1, s);
    }
  }
  Cuts cuts(k + 1, nodes);
  for (size_t j = k; j > 0; --j) {
    const size_t e = cuts[j];
    double left = double(random() >> 11) * 0x1p-53 * ways(j, e);
    size_t chosen = e;
    for (size_t s = e > cap(model) ? e - cap(model) : 0; s < e; ++s) {
      if (ways(j - 1, s) == 0) continue;
      chosen = s;
      left -= ways(j - 1, s);
      if (left < 0) break;
    }
    cuts[j - 1] = chosen;
  }
  return cuts;
}

Partition Layout::finish(const std::vector<Cuts>& cuts, std::span<const Anchor> anchors) const {
  Partition out;
  for (const Cuts& c : cuts) out.cuts.emplace_back(c.begin() + 1, c.end() - 1);
  for (const Anchor& a : anchors) out.anchors.push_back({a.model, a.in + 1, a.out});
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
  for (;;) {
    std::vector<Anchor> better = anchors;
    double recentred = 0;
    for (size_t k = 0; k < layout.sets(); ++k) recentred += layout.best_anchor(k, cuts, better[k]);
    if (recentred <= value + 1e-12 * std::abs(value)) return value;
    anchors = better;
    value = layout.best_partition(anchors, cuts);
  }
}

std::vector<Anchor> random_anchors(const Layout& layout, std::mt19937_64& random) {
  std::vector<Cuts> cuts(layout.models());
  std::vector<Anchor> anchors(layout.sets());
  for (size_t k = 0; k < layout.sets(); ++k) {
    const size_t m = draw(random, layout.models());
    if (cuts[m].empty()) cuts[m] = layout.random_cuts(m, random);
    anchors[k] = {m, cuts[m][k], cuts[m][k + 1]};
  }
  return anchors;
}

}  // namespace kintsugi::solvers::partition
