// Label setting with dominance, stitch by stitch. A label stands at the output of a node; it goes
// on to the next node, or over a stitch to the input of a node elsewhere. What continues at one
// input, come straight or stitched, with as many stitches or fewer, competes there; and no label
// lives that no ending brings within the budgets.
#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <sstream>

#include "kintsugi/engine/core/error.h"
#include "kintsugi/engine/cpu/parallel.h"
#include "kintsugi/solvers/clock.h"
#include "kintsugi/solvers/pareto.h"
#include "kintsugi/solvers/stitch_graph/graph.h"

namespace kintsugi::solvers {

namespace stitch_graph {

namespace {

using reassembly::kNever;
using reassembly::kUnlimited;

constexpr uint32_t kNone = UINT32_MAX;
constexpr uint64_t kMostLabels = uint64_t{1} << 26;

struct Arcs {  // into one position
  std::vector<uint32_t> from;
  std::vector<double> points;
};

// The labels at one output, with so many stitches.
struct List {
  std::vector<double> points;          // (label, width)
  std::vector<uint32_t> from, parent;  // the position before, and which of its labels
  size_t size() const { return from.size(); }
};

struct End {
  uint32_t stitches, position, label;
};

class Search {
 public:
  Search(const StitchGraphProblem& problem, const Clock& clock)
      : problem_(problem),
        clock_(clock),
        width_(1 + problem.resources.size()),
        layers_(problem.max_stitches + 1),
        first_(first_positions(problem)),
        arcs_(first_.back()),
        nodes_(first_.back() * width_, 0),
        inputs_(first_.back(), pareto::Front(width_)) {
    for (size_t i = 0; i < problem.networks.size(); ++i) {
      const StitchNetwork& network = problem.networks[i];
      for (size_t p = 0; p < network.nodes.size(); ++p) {
        double* point = nodes_.data() + (first_[i] + p + 1) * width_;
        point[0] = network.nodes[p].value;
        std::copy(network.nodes[p].cost.begin(), network.nodes[p].cost.end(), point + 1);
        for (size_t j = 0; j < problem.networks.size(); ++j) {
          for (size_t q = 1; q <= problem.networks[j].nodes.size(); ++q) {
            if (allowed(problem, j, q, i, p)) add_arc(first_[j] + q, first_[i] + p);
          }
        }
      }
      stems_.push_back(ending(network.stem_cost));
      heads_.push_back(ending(network.head_cost));
    }
    for (size_t c = 0; c < width_; ++c) best_endings(c);
  }

  // Fills the layers; false where the clock or the memory ran out.
  bool run(Clock& clock) {
    std::atomic<bool> whole = true;
    for (size_t s = 0; s < layers_.size() && whole; ++s) {
      layers_[s].resize(first_.back());
      // What may not end yet beats nothing that has more stitches.
      if (s > 0 && s <= problem_.min_stitches) {
        inputs_.assign(first_.back(), pareto::Front(width_));
      }
      cpu::parallel_for(int64_t(problem_.networks.size()), 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          if (!walk(s, size_t(i))) whole = false;
        }
      });
      clock.report(double(s + 1) / double(layers_.size()));
    }
    return whole;
  }

  std::vector<StitchedNetwork> front() const {
    std::vector<double> points;
    std::vector<End> ends;
    for (uint32_t s = uint32_t(problem_.min_stitches); s < layers_.size(); ++s) {
      if (layers_[s].empty()) break;
      for (size_t i = 0; i < problem_.networks.size(); ++i) {
        const uint32_t at = uint32_t(first_[i + 1] - 1);
        const List& list = layers_[s][at];
        for (uint32_t label = 0; label < list.size(); ++label) {
          if (!sum(list.points.data() + label * width_, heads_[i].data(), points)) continue;
          ends.push_back({s, at, label});
        }
      }
    }
    pareto::Front front(width_);
    std::vector<StitchedNetwork> out;
    for (const uint32_t e : front.admit(points.data(), ends.size())) {
      const double* point = points.data() + e * width_;
      out.push_back({trace(ends[e]), point[0], {point + 1, point + width_}});
    }
    return out;
  }

  // The most of component 0, or the least of another, that any network has, budgets aside.
  double extreme(size_t component) const {
    double best = kNever;
    for (size_t i = 0; i < problem_.networks.size(); ++i) {
      if (!problem_.networks[i].starts) continue;
      const double start = signed_of(component, stems_[i].data()) +
                           signed_of(component, node(first_[i] + 1)) +
                           after(component, layers_.size() - 1, first_[i] + 1);
      best = std::max(best, start);
    }
    return component == 0 ? best : -best;
  }

  uint64_t labels() const {
    uint64_t sum = 0;
    for (const auto& layer : layers_) {
      for (const List& list : layer) sum += list.size();
    }
    return sum;
  }

  size_t arcs() const {
    size_t sum = 0;
    for (const Arcs& a : arcs_) sum += a.from.size();
    return sum;
  }

 private:
  static double signed_of(size_t component, const double* point) {
    return component == 0 ? point[0] : -point[component];
  }
  const double* node(size_t position) const { return nodes_.data() + position * width_; }
  double& after(size_t component, size_t left, size_t position) {
    return endings_[(component * layers_.size() + left) * first_.back() + position];
  }
  double after(size_t component, size_t left, size_t position) const {
    return endings_[(component * layers_.size() + left) * first_.back() + position];
  }

  std::vector<double> ending(const std::vector<double>& cost) const {
    std::vector<double> point(width_, 0);
    std::copy(cost.begin(), cost.end(), point.begin() + 1);
    return point;
  }

  void add_arc(size_t from, size_t to) {
    const double value = problem_.stitch_value(from, to);
    if (value == kNever) return;
    arcs_[to].from.push_back(uint32_t(from));
    arcs_[to].points.push_back(value);
    for (const Matrix& cost : problem_.stitch_cost) arcs_[to].points.push_back(cost(from, to));
  }

  // after(c, left, x): the best that component c can still add from output x with so many
  // stitches left.
  void best_endings(size_t c) {
    endings_.resize(width_ * layers_.size() * first_.back(), kNever);
    for (size_t left = 0; left < layers_.size(); ++left) {
      for (size_t i = 0; i < problem_.networks.size(); ++i) {
        const size_t last = first_[i + 1] - 1;
        after(c, left, last) = std::max(after(c, left, last), signed_of(c, heads_[i].data()));
        for (size_t x = last; x > first_[i] + 1; --x) {
          after(c, left, x - 1) =
              std::max(after(c, left, x - 1), signed_of(c, node(x)) + after(c, left, x));
        }
        if (left + 1 == layers_.size()) continue;
        for (size_t x = first_[i]; x < last; ++x) {
          const double rest = signed_of(c, node(x + 1)) + after(c, left, x + 1);
          for (size_t a = 0; a < arcs_[x].from.size(); ++a) {
            double& best = after(c, left + 1, arcs_[x].from[a]);
            best = std::max(best, signed_of(c, arcs_[x].points.data() + a * width_) + rest);
          }
        }
      }
    }
  }

  // Appends a + b to `points` unless it is above a budget.
  bool sum(const double* a, const double* b, std::vector<double>& points) const {
    for (size_t c = 1; c < width_; ++c) {
      if (!reassembly::Graph::within(a[c] + b[c], problem_.resources[c - 1].budget)) return false;
    }
    for (size_t c = 0; c < width_; ++c) points.push_back(a[c] + b[c]);
    return true;
  }

  // Whether a label about to execute the node of output x, with `left` stitches, can end within
  // the budgets.
  bool hopeful(const double* point, size_t left, size_t x) const {
    for (size_t c = 1; c < width_; ++c) {
      const double budget = problem_.resources[c - 1].budget;
      if (budget == kUnlimited) continue;
      const double least = node(x)[c] - after(c, left, x);
      // Sums in another order: a unit of slack in the last digits, the ends are tested exactly.
      if (point[c] + least > budget * (1 + 1e-12)) return false;
    }
    return true;
  }

  // The labels of network i with s stitches, from its input to its output.
  bool walk(size_t s, size_t i) {
    const size_t left = layers_.size() - 1 - s;
    uint64_t made = 0;
    for (size_t x = first_[i] + 1; x < first_[i + 1]; ++x) {
      std::vector<double> points;
      std::vector<uint32_t> from, parent;
      const auto offer = [&](const double* a, const double* b, size_t position, size_t label) {
        const size_t at = points.size();
        if (!sum(a, b, points)) return;
        if (!hopeful(points.data() + at, left, x) || inputs_[x - 1].beats(points.data() + at)) {
          points.resize(at);
          return;
        }
        from.push_back(uint32_t(position));
        parent.push_back(uint32_t(label));
      };
      const std::vector<double> nothing(width_, 0);
      if (x == first_[i] + 1) {
        if (s == 0 && problem_.networks[i].starts)
          offer(nothing.data(), stems_[i].data(), kNone, kNone);
      } else {
        const List& straight = layers_[s][x - 1];
        for (size_t label = 0; label < straight.size(); ++label) {
          offer(straight.points.data() + label * width_, nothing.data(), x - 1, label);
        }
      }
      const Arcs& arcs = arcs_[x - 1];
      for (size_t a = 0; s > 0 && a < arcs.from.size(); ++a) {
        if (clock_.over()) return false;
        const List& list = layers_[s - 1][arcs.from[a]];
        for (size_t label = 0; label < list.size(); ++label) {
          offer(list.points.data() + label * width_, arcs.points.data() + a * width_, arcs.from[a],
                label);
        }
      }
      if (clock_.over() || made > kMostLabels / problem_.networks.size()) return false;
      List& list = layers_[s][x];
      for (const uint32_t d : inputs_[x - 1].admit(points.data(), from.size())) {
        if (!sum(points.data() + d * width_, node(x), list.points)) continue;
        list.from.push_back(from[d]);
        list.parent.push_back(parent[d]);
      }
      made += list.size();
    }
    return true;
  }

  std::vector<Block> trace(End end) const {
    std::vector<Block> segments;
    size_t s = end.stitches, x = end.position, label = end.label, last = x;
    for (;;) {
      const List& list = layers_[s][x];
      const uint32_t from = list.from[label];
      label = list.parent[label];
      if (from + 1 != x) {
        const size_t i =
            size_t(std::upper_bound(first_.begin(), first_.end(), x) - first_.begin()) - 1;
        segments.push_back({i, x - first_[i], last - first_[i]});
        if (from == kNone) break;
        last = from;
        --s;
      }
      x = from;
    }
    std::reverse(segments.begin(), segments.end());
    return segments;
  }

  const StitchGraphProblem& problem_;
  const Clock& clock_;
  size_t width_;
  std::vector<std::vector<List>> layers_;  // [stitches][position]
  std::vector<size_t> first_;
  std::vector<Arcs> arcs_;             // [position]
  std::vector<double> nodes_;          // (position, width): the node before this output
  std::vector<pareto::Front> inputs_;  // [position]: all that has continued there
  std::vector<std::vector<double>> stems_, heads_;
  std::vector<double> endings_;
};

}  // namespace

// A point of the least cost is on the front without that cost's budget.
void explain(const StitchGraphProblem& problem, Clock& clock, StitchGraphResult& result) {
  std::ostringstream reason;
  reason.precision(15);
  reason << "no network";
  const char* joint = " within ";
  for (const Resource& r : problem.resources) {
    if (r.budget == kUnlimited) continue;
    reason << joint << r.budget << ' ' << r.name;
    joint = " and ";
  }
  for (size_t r = 0; r < problem.resources.size(); ++r) {
    const Resource& resource = problem.resources[r];
    if (resource.budget == kUnlimited) continue;
    StitchGraphProblem relaxed = problem;
    relaxed.resources[r].budget = kUnlimited;
    Search search(relaxed, clock);
    Remedy remedy{resource.name, resource.budget, kUnlimited};
    const bool whole = search.run(clock);
    for (const StitchedNetwork& network : search.front()) {
      remedy.needed = std::min(remedy.needed, network.cost[r]);
    }
    if (!whole) {
      fail(ErrorKind::kInterrupted, "stitch graph: ", reason.str(), "; ",
           clock.stopped() ? "stopped" : "out of time", " before what would help was known");
    }
    if (remedy.needed < kUnlimited) {
      reason << "; the smallest " << resource.name << " with the rest is " << remedy.needed;
    } else {
      reason << "; no " << resource.name << " would do with the rest";
    }
    result.remedies.push_back(std::move(remedy));
  }
  if (result.remedies.empty()) {
    reason << " has " << problem.min_stitches << " stitches within a depth slack of "
           << problem.depth_slack;
  }
  result.reason = reason.str();
}

}  // namespace stitch_graph

StitchGraphResult stitch_front(const StitchGraphProblem& problem, const Control& control) {
  validate(problem);
  Clock clock(control);
  stitch_graph::Search search(problem, clock);
  StitchGraphResult result;
  result.complete = search.run(clock);
  result.front = search.front();
  result.labels = search.labels();
  result.stitches = search.arcs();
  result.seconds = clock.seconds();
  if (result.front.empty() && !result.complete) {
    fail(ErrorKind::kInterrupted, "stitch graph: ", clock.stopped() ? "stopped" : "out of time",
         " after ", result.seconds, " s without a network");
  }
  if (result.front.empty()) {
    stitch_graph::explain(problem, clock, result);
    return result;
  }
  for (const StitchedNetwork& network : result.front) {
    const StitchedNetwork again = stitch_graph::recompute(problem, network.segments);
    double apart = std::abs(again.objective - network.objective);
    for (size_t r = 0; r < again.cost.size(); ++r) {
      apart = std::max(apart, std::abs(again.cost[r] - network.cost[r]) / (1 + again.cost[r]));
    }
    if (!(apart <= 1e-9 * (1 + std::abs(again.objective)))) {
      fail(ErrorKind::kNumeric, "stitch graph: a network is said to be worth ", network.objective,
           ", it is worth ", again.objective);
    }
  }
  const double best = result.front[0].objective;
  result.bound = result.complete ? best : std::max(best, search.extreme(0));
  result.gap = (result.bound - best) / std::max(1e-12, std::abs(best));
  return result;
}

}  // namespace kintsugi::solvers
