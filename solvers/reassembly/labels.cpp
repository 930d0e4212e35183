// Label setting over the stages. A label is a partial assembly; it dies if its Lagrangian bound
// does not beat the incumbent, if no ending fits the budgets, or if another label at its node is
// worth as much, has used no more of whatever can still run out, and so can end in every way that
// it can. Passes with widening beams find the incumbent first; a pass that drops nothing is a
// proof, and the best bound among what a pass dropped bounds the rest.
#include <algorithm>
#include <cmath>

#include "kintsugi/solvers/reassembly/graph.h"
#include "kintsugi/solvers/reassembly/multipliers.h"

namespace kintsugi::solvers::reassembly {

namespace {

struct Layer {
  std::vector<double> value, net;  // per label; net: value less the Lagrangian charges
  std::vector<double> used;        // (label, resource)
  // (label, rows): blocks of each network, overlap with each no-good, and, where checkpoints are
  // limited, blocks of each of those and how many of them there are.
  std::vector<uint16_t> count;
  std::vector<uint32_t> node, parent;
  size_t size() const { return node.size(); }
};

class LabelSearch {
 public:
  LabelSearch(const Graph& graph, const Clock& clock)
      : graph_(graph),
        clock_(clock),
        prices_(graph),
        capped_(graph.models + graph.no_goods.size()),
        rows_(capped_ + (graph.few_sources() ? graph.sources + 1 : 0)) {}

  Answer run() { return run_above(kNever, false); }

  Answer run_for_any() {
    if (!limited()) return run_above(kNever, true);
    const bool exists = first_assembly();
    return finish(!exists, kUnlimited);
  }

  // Only paths worth more than `floor` matter. `first`: any of them will do.
  Answer run_above(double floor, bool first) {
    floor_ = floor;
    first_ = first;
    // Something in hand early: who is stopped can then answer, and the prices know their target.
    prices_.optimise(1, best_, value_, clock_);
    double ignored = kNever;
    if (best_.empty() && prices_.bound() > threshold() && suffixes()) pass(kNarrow, ignored);
    prices_.optimise(300, best_, value_, clock_);
    double bound = prices_.bound();
    if (first && !best_.empty()) return finish(false, bound);
    const bool hopeless = bound == kNever || bound <= threshold() || !suffixes();
    bool proven = hopeless;
    if (best_.empty() && !hopeless && !first && limited()) {
      // Nothing found on the way: ask for just any assembly before the best one.
      if (!first_assembly()) return finish(true, kNever);
    }
    constexpr size_t kWidest = size_t{1} << 18;
    for (size_t width = 64; !proven && width <= kWidest; width *= 8) {
      double dropped = kNever;
      if (!pass(width, dropped)) break;
      bound = std::min(bound, std::max(dropped, value_));
      proven = dropped <= threshold();
      if (first && !best_.empty()) break;
    }
    return finish(proven, bound);
  }

 private:
  static constexpr size_t kNarrow = 4;

  double threshold() const {
    const double least = std::max(value_, floor_);
    return least == kNever ? kNever : least + 1e-12 * std::max(1.0, std::abs(least));
  }

  Answer finish(bool proven, double bound) {
    Answer answer;
    answer.work = work_;
    answer.path = best_;
    answer.objective = value_;
    if (proven) {
      answer.status = best_.empty() ? Answer::Status::kInfeasible : Answer::Status::kOptimal;
      answer.bound = value_;
    } else {
      answer.status = best_.empty() ? Answer::Status::kUnknown : Answer::Status::kFeasible;
      answer.bound = std::max(bound, value_);
    }
    return answer;
  }

  bool limited() const {
    return std::any_of(graph_.budget.begin(), graph_.budget.end(),
                       [](double b) { return b < kUnlimited; });
  }

  // Phase one: the shares of the budgets that a feasible path spends sum to at most their number,
  // so with their negative as the value all is worth at least that, and the bound proves
  // infeasibility.
  bool first_assembly() {
    Graph cheap = graph_;
    std::vector<double> rate(graph_.resources(), 0);
    double floor = -1e-6;
    for (size_t r = 0; r < rate.size(); ++r) {
      if (graph_.budget[r] <= 0 || graph_.budget[r] == kUnlimited) continue;
      rate[r] = 1 / graph_.budget[r];
      floor -= 1;
    }
    for (auto& nodes : cheap.nodes) {
      for (Node& node : nodes) {
        node.value = 0;
        for (size_t r = 0; r < rate.size(); ++r) node.value -= rate[r] * node.cost[r];
      }
    }
    for (size_t k = 0; k + 1 < cheap.stages(); ++k) {
      for (size_t i = 0; i < cheap.arc_value[k].values.size(); ++i) {
        double& value = cheap.arc_value[k].values[i];
        if (value == kNever) continue;
        value = 0;
        for (size_t r = 0; r < rate.size(); ++r) {
          value -= rate[r] * cheap.arc_cost[k][i * rate.size() + r];
        }
      }
    }
    LabelSearch search(cheap, clock_);
    const Answer answer = search.run_above(floor, true);
    work_ += answer.work;
    if (!answer.path.empty()) offer(answer.path);
    return answer.status != Answer::Status::kInfeasible;
  }

  void offer(const Path& path) {
    if (const double value = graph_.value_of(path); value > value_ && graph_.admits(path)) {
      value_ = value;
      best_ = path;
    }
  }

  // The least and most of each resource that any ending of a node costs; false if no path exists.
  bool suffixes() {
    const size_t resources = graph_.resources(), stages = graph_.stages();
    least_.resize(stages);
    most_.resize(stages);
    for (size_t k = stages; k-- > 0;) {
      const size_t lefts = graph_.nodes[k].size();
      const bool last = k + 1 == stages;
      least_[k].assign(lefts * resources, last ? 0 : kUnlimited);
      most_[k].assign(lefts * resources, 0);
      if (last) continue;
      for (size_t a = 0; a < lefts; ++a) {
        for (size_t b = 0; b < graph_.nodes[k + 1].size(); ++b) {
          if (graph_.arc_value[k](a, b) == kNever || prices_.rest(k + 1, b) == kNever) continue;
          const double* arc = graph_.costs(k, a, b);
          for (size_t r = 0; r < resources; ++r) {
            const double step = arc[r] + graph_.nodes[k + 1][b].cost[r];
            double& least = least_[k][a * resources + r];
            double& most = most_[k][a * resources + r];
            least = std::min(least, step + least_[k + 1][b * resources + r]);
            most = std::max(most, step + most_[k + 1][b * resources + r]);
          }
        }
      }
    }
    later_.assign(stages, std::vector<uint16_t>(capped_, 0));
    for (size_t k = stages - 1; k-- > 0;) {
      later_[k] = later_[k + 1];
      std::vector<char> seen(graph_.models, 0);
      for (const Node& node : graph_.nodes[k + 1]) {
        later_[k][node.model] += !seen[node.model];
        seen[node.model] = 1;
      }
      for (size_t g = 0; g < graph_.no_goods.size(); ++g) ++later_[k][graph_.models + g];
    }
    return true;
  }

  size_t row_cap(size_t row) const {
    return row < graph_.models ? graph_.max_per_model : graph_.no_goods[row - graph_.models].most;
  }

  // A label of the next layer that has not been written out: its parent and what decides its fate.
  struct Draft {
    double bound;
    uint32_t parent;
  };

  // False where the clock ran out; `dropped` rises to the best bound that fell off a beam.
  bool pass(size_t width, double& dropped) {
    layers_.assign(graph_.stages(), {});
    for (size_t k = 0; k < graph_.stages(); ++k) {
      std::vector<std::vector<Draft>> drafts(graph_.nodes[k].size());
      const size_t parents = k == 0 ? 1 : layers_[k - 1].size();
      for (size_t p = 0; p < parents; ++p) {
        if ((p & 255) == 0 && clock_.over()) return false;
        for (size_t n = 0; n < graph_.nodes[k].size(); ++n) {
          if (const double bound = draft(k, p, n); bound > threshold()) {
            drafts[n].push_back({bound, uint32_t(p)});
          }
        }
      }
      for (size_t n = 0; n < graph_.nodes[k].size(); ++n) {
        if (clock_.over()) return false;
        write(k, n, drafts[n], width, dropped);
      }
    }
    return true;
  }

  // The bound of label p of the layer before, extended by node n; kNever where a rule forbids it.
  double draft(size_t k, size_t p, size_t n) {
    const Node& node = graph_.nodes[k][n];
    const size_t resources = graph_.resources();
    const Layer* before = k == 0 ? nullptr : &layers_[k - 1];
    const size_t from = before ? before->node[p] : 0;
    if (before && graph_.arc_value[k - 1](from, n) == kNever) return kNever;
    double net = prices_.node(k, n) + prices_.rest(k, n) + prices_.constant();
    if (before) net += before->net[p] + prices_.arc(k - 1, from, n);
    if (!(net > threshold())) return kNever;
    const double* arc = before ? graph_.costs(k - 1, from, n) : nullptr;
    for (size_t r = 0; r < resources; ++r) {
      double used = node.cost[r] + least_[k][n * resources + r];
      if (before) used += before->used[p * resources + r] + arc[r];
      if (!Graph::within(used, graph_.budget[r])) return kNever;
    }
    for (size_t g = 0; g < graph_.no_goods.size(); ++g) {
      const NoGood& bad = graph_.no_goods[g];
      const size_t so_far = before ? before->count[p * rows_ + graph_.models + g] : 0;
      if (so_far + size_t(graph_.same_block(k, bad.path[k], n)) > bad.most) return kNever;
    }
    if (!before) return net;
    const uint16_t* count = before->count.data() + p * rows_;
    if (count[node.model] >= graph_.max_per_model) return kNever;
    if (capped_ < rows_ && count[capped_ + node.source] == 0 &&
        count[rows_ - 1] >= graph_.max_sources) {
      return kNever;
    }
    if (graph_.min_models > 1) {
      size_t distinct = count[node.model] == 0;
      for (size_t m = 0; m < graph_.models; ++m) distinct += count[m] > 0;
      if (distinct + graph_.stages() - 1 - k < graph_.min_models) return kNever;
    }
    return net;
  }

  void write(size_t k, size_t n, std::vector<Draft>& drafts, size_t width, double& dropped) {
    std::stable_sort(drafts.begin(), drafts.end(),
                     [](const Draft& a, const Draft& b) { return a.bound > b.bound; });
    Layer& layer = layers_[k];
    const size_t begin = layer.size();
    const bool last = k + 1 == graph_.stages();
    for (const Draft& d : drafts) {
      if (d.bound <= threshold()) break;
      if (layer.size() - begin >= width) {
        dropped = std::max(dropped, d.bound);
        break;
      }
      ++work_;
      append(k, d.parent, n);
      if (last) {
        offer(trace(layers_, k, layer.size() - 1));
        if (first_ && !best_.empty()) return;
      } else if (dominated(k, begin)) {
        layer.value.pop_back();
        layer.net.pop_back();
        layer.node.pop_back();
        layer.parent.pop_back();
        layer.used.resize(layer.used.size() - graph_.resources());
        layer.count.resize(layer.count.size() - rows_);
      }
    }
  }

  void append(size_t k, size_t p, size_t n) {
    const Node& node = graph_.nodes[k][n];
    const size_t resources = graph_.resources();
    Layer& layer = layers_[k];
    double value = node.value, net = prices_.node(k, n);
    layer.used.insert(layer.used.end(), node.cost.begin(), node.cost.end());
    double* used = layer.used.data() + layer.used.size() - resources;
    const size_t at = layer.count.size();
    if (k == 0) {
      layer.count.resize(at + rows_, 0);
    } else {
      const Layer& before = layers_[k - 1];
      const size_t from = before.node[p];
      value += before.value[p] + graph_.arc_value[k - 1](from, n);
      net += before.net[p] + prices_.arc(k - 1, from, n);
      const double* arc = graph_.costs(k - 1, from, n);
      for (size_t r = 0; r < resources; ++r) used[r] += before.used[p * resources + r] + arc[r];
      const auto row = before.count.begin() + ptrdiff_t(p * rows_);
      layer.count.insert(layer.count.end(), row, row + ptrdiff_t(rows_));
    }
    uint16_t* count = layer.count.data() + at;
    ++count[node.model];
    for (size_t g = 0; g < graph_.no_goods.size(); ++g) {
      count[graph_.models + g] += graph_.same_block(k, graph_.no_goods[g].path[k], n);
    }
    if (capped_ < rows_) count[rows_ - 1] += ++count[capped_ + node.source] == 1;
    layer.value.push_back(value);
    layer.net.push_back(net);
    layer.node.push_back(uint32_t(n));
    layer.parent.push_back(uint32_t(p));
  }

  // Whether a label of this node from `begin` on beats the layer's newest. Looking at the best few
  // thousand is enough: dominance saves work, the answer does not depend on it.
  bool dominated(size_t k, size_t begin) const {
    constexpr size_t kLookAt = 4096;
    const Layer& layer = layers_[k];
    const size_t label = layer.size() - 1;
    const size_t end = std::min(label, begin + kLookAt);
    for (size_t other = begin; other < end; ++other) {
      if (beats(k, other, label)) return true;
    }
    return false;
  }

  bool beats(size_t k, size_t a, size_t b) const {
    const Layer& layer = layers_[k];
    if (layer.value[a] < layer.value[b]) return false;
    const size_t resources = graph_.resources();
    const double* most = most_[k].data() + layer.node[a] * resources;
    for (size_t r = 0; r < resources; ++r) {
      const double mine = layer.used[a * resources + r];
      // Whatever can no longer run out does not count.
      if (mine > layer.used[b * resources + r] && !(mine + most[r] <= graph_.budget[r]))
        return false;
    }
    const uint16_t *mine = layer.count.data() + a * rows_, *other = layer.count.data() + b * rows_;
    size_t distinct = 0;
    bool superset = true;
    for (size_t row = 0; row < capped_; ++row) {
      if (mine[row] > other[row] && size_t(mine[row] + later_[k][row]) > row_cap(row)) return false;
      if (row >= graph_.models) continue;
      distinct += mine[row] > 0;
      superset &= mine[row] > 0 || other[row] == 0;
    }
    if (!superset && distinct < graph_.min_models) return false;
    if (capped_ == rows_ || mine[rows_ - 1] + graph_.stages() - 1 - k <= graph_.max_sources) {
      return true;
    }
    for (size_t row = capped_; row + 1 < rows_; ++row) {
      if (mine[row] > 0 && other[row] == 0) return false;
    }
    return true;
  }

  const Graph& graph_;
  const Clock& clock_;
  Multipliers prices_;
  size_t capped_, rows_;
  double floor_ = kNever;
  bool first_ = false;
  Path best_;
  double value_ = kNever;
  std::vector<std::vector<double>> least_, most_;  // [stage](node, resource)
  std::vector<std::vector<uint16_t>> later_;       // [stage][row]: what the stages after can add
  std::vector<Layer> layers_;
  uint64_t work_ = 0;
};

}  // namespace

Answer solve_labels(const Graph& graph, const Clock& clock) {
  return LabelSearch(graph, clock).run();
}

Answer any_path(const Graph& graph, const Clock& clock) {
  return LabelSearch(graph, clock).run_for_any();
}

}  // namespace kintsugi::solvers::reassembly
