// The whole Pareto front by label setting over the stages. A label dies if no ending fits the
// budgets, or if another at its node, with the same standing under the rules, beats it in value,
// in the costs of the front and in whatever else has a budget. Rounded sums keep the order of their
// terms, so the front is that of all combinations, to the last bit.
#include <algorithm>
#include <cmath>
#include <map>

#include "kintsugi/engine/core/error.h"
#include "kintsugi/solvers/pareto.h"
#include "kintsugi/solvers/reassembly/graph.h"
#include "kintsugi/solvers/reassembly/multipliers.h"

namespace kintsugi::solvers {

namespace reassembly {

namespace {

struct Layer {
  std::vector<uint32_t> node, parent;
  std::vector<double> value, cost;  // cost: (label, resource)
  size_t size() const { return node.size(); }
};

class FrontSearch {
 public:
  FrontSearch(const Graph& graph, const std::vector<size_t>& resources, const Clock& clock)
      : graph_(graph),
        clock_(clock),
        least_(least_endings(graph)),
        later_(later_stages(graph)),
        asked_(resources),
        limited_(resources) {
    for (size_t r = 0; r < graph.resources(); ++r) {
      const bool listed = std::find(asked_.begin(), asked_.end(), r) != asked_.end();
      if (!listed && graph.budget[r] < kUnlimited) limited_.push_back(r);
    }
  }

  // The front of the paths that a beam of so many labels a node sees; false where the clock ran
  // out or the labels grew beyond the memory meant for them.
  bool pass(size_t width, std::vector<Path>& front, bool& dropped) {
    dropped = false;
    layers_.assign(graph_.stages(), {});
    for (size_t k = 0; k < graph_.stages(); ++k) {
      for (size_t n = 0; n < graph_.nodes[k].size(); ++n) {
        if (!extend(k, n, width, dropped)) return false;
      }
    }
    front.clear();
    const size_t last = graph_.stages() - 1;
    std::vector<double> points;
    for (uint32_t label = 0; label < layers_[last].size(); ++label) {
      add_point(layers_[last], label, asked_, points);
    }
    pareto::Front global(1 + asked_.size());
    for (const uint32_t label : global.admit(points.data(), layers_[last].size())) {
      front.push_back(trace(layers_, last, label));
    }
    return true;
  }

  uint64_t labels() const { return labels_; }

 private:
  static constexpr uint64_t kMostLabels = uint64_t{1} << 26;
  using Standing = std::vector<uint32_t>;

  bool extend(size_t k, size_t n, size_t width, bool& dropped) {
    const Layer* before = k == 0 ? nullptr : &layers_[k - 1];
    Layer drafts;
    std::map<Standing, std::vector<uint32_t>> groups;
    for (uint32_t p = 0; p < (before ? before->size() : 1); ++p) {
      if ((p & 1023) == 0 && (clock_.over() || labels_ > kMostLabels)) return false;
      Standing standing;
      if (!append(drafts, k, before, p, n) || !stands(k, before, p, n, standing)) continue;
      drafts.node.push_back(uint32_t(n));
      drafts.parent.push_back(p);
      groups[standing].push_back(uint32_t(drafts.size() - 1));
      // What append() wrote for a draft that the rules then refused is overwritten by the next.
    }
    labels_ += drafts.size();
    const std::vector<size_t>& counted = k + 1 == graph_.stages() ? asked_ : limited_;
    std::vector<uint32_t> kept;
    for (const auto& [standing, members] : groups) {
      std::vector<double> points;
      for (const uint32_t draft : members) add_point(drafts, draft, counted, points);
      pareto::Front front(1 + counted.size());
      for (const uint32_t i : front.admit(points.data(), members.size())) {
        kept.push_back(members[i]);
      }
    }
    const size_t stride = std::max<size_t>(1, (kept.size() + width - 1) / width);
    dropped |= stride > 1;
    for (size_t i = 0; i < kept.size(); i += stride) copy(drafts, kept[i], layers_[k]);
    return true;
  }

  // Value and costs of label p extended by node n at the end of `drafts`, in the order of
  // Graph::value_of; false where there is no arc or no ending fits.
  bool append(Layer& drafts, size_t k, const Layer* before, size_t p, size_t n) const {
    const Node& node = graph_.nodes[k][n];
    const size_t resources = graph_.resources(), at = drafts.size();
    drafts.value.resize(at);
    drafts.cost.resize(at * resources);
    double value = (before ? before->value[p] : 0) + node.value;
    const size_t from = before ? before->node[p] : 0;
    if (before) value += graph_.arc_value[k - 1](from, n);
    if (value == kNever) return false;
    for (size_t r = 0; r < resources; ++r) {
      double cost = graph_.joined(r, before ? before->cost[p * resources + r] : 0, node.cost[r]);
      if (before) cost = graph_.joined(r, cost, graph_.costs(k - 1, from, n)[r]);
      // An unlimited budget takes any ending, and none of a node without endings is asked for.
      if (!Graph::within(cost + least_[k](n, r), graph_.budget[r])) return false;
      drafts.cost.push_back(cost);
    }
    drafts.value.push_back(value);
    return true;
  }

  // What of a label's networks the rules may still ask about; false if they already refuse it.
  bool stands(size_t k, const Layer* before, uint32_t p, size_t n, Standing& standing) const {
    std::vector<uint32_t> models{uint32_t(graph_.nodes[k][n].model)};
    std::vector<uint32_t> sources{uint32_t(graph_.nodes[k][n].source)};
    for (size_t j = k; before && j-- > 0;) {
      const Node& node = graph_.nodes[j][layers_[j].node[p]];
      models.push_back(uint32_t(node.model));
      sources.push_back(uint32_t(node.source));
      p = layers_[j].parent[p];
    }
    if (graph_.few_sources()) {
      std::sort(sources.begin(), sources.end());
      sources.erase(std::unique(sources.begin(), sources.end()), sources.end());
      if (sources.size() > graph_.max_sources) return false;
      const bool may_exceed = sources.size() + graph_.stages() - 1 - k > graph_.max_sources;
      if (may_exceed) standing = sources;
      standing.push_back(UINT32_MAX);  // the networks follow
    }
    std::sort(models.begin(), models.end());
    size_t distinct = 0;
    for (size_t i = 0; i < models.size(); ++i) distinct += i == 0 || models[i] != models[i - 1];
    if (distinct + graph_.stages() - 1 - k < graph_.min_models) return false;
    for (size_t i = 0, j = 0; i < models.size(); i = j) {
      while (j < models.size() && models[j] == models[i]) ++j;
      if (j - i > graph_.max_per_model) return false;
      const bool may_exceed = j - i + later_[k][models[i]] > graph_.max_per_model;
      if (may_exceed || distinct < graph_.min_models) {
        standing.insert(standing.end(), {models[i], uint32_t(j - i)});
      }
    }
    return true;
  }

  void copy(const Layer& from, uint32_t label, Layer& to) const {
    const auto cost = from.cost.begin() + ptrdiff_t(label * graph_.resources());
    to.node.push_back(from.node[label]);
    to.parent.push_back(from.parent[label]);
    to.value.push_back(from.value[label]);
    to.cost.insert(to.cost.end(), cost, cost + ptrdiff_t(graph_.resources()));
  }

  void add_point(const Layer& layer, uint32_t label, const std::vector<size_t>& counted,
                 std::vector<double>& points) const {
    points.push_back(layer.value[label]);
    for (const size_t r : counted) points.push_back(layer.cost[label * graph_.resources() + r]);
  }

  const Graph& graph_;
  const Clock& clock_;
  std::vector<Matrix> least_;
  std::vector<std::vector<size_t>> later_;
  std::vector<size_t> asked_, limited_;
  std::vector<Layer> layers_;
  uint64_t labels_ = 0;
};

}  // namespace

}  // namespace reassembly

ReassemblyFront pareto_front(const ReassemblyProblem& problem, const std::vector<size_t>& resources,
                             const Control& control) {
  validate(problem);
  for (size_t i = 0; i < resources.size(); ++i) {
    if (resources[i] >= problem.resources.size()) {
      fail(ErrorKind::kUsage, "pareto front: resource ", resources[i], " of ",
           problem.resources.size());
    }
    if (std::find(resources.begin(), resources.begin() + ptrdiff_t(i), resources[i]) !=
        resources.begin() + ptrdiff_t(i)) {
      fail(ErrorKind::kUsage, "pareto front: ", problem.resources[resources[i]].name, " twice");
    }
  }
  if (resources.empty()) fail(ErrorKind::kUsage, "pareto front: no resource to minimise");
  Clock clock(control);
  const reassembly::Graph graph = reassembly::make_graph(problem);
  reassembly::FrontSearch search(graph, resources, clock);
  ReassemblyFront result;
  std::vector<reassembly::Path> front;
  for (const size_t width : {size_t{1}, size_t{16}, size_t{1} << 40}) {
    bool dropped = false;
    if (!search.pass(width, front, dropped)) break;
    result.complete = !dropped;
    clock.report(width == 1 ? 0.02 : 0.1);
    if (result.complete) break;
  }
  result.labels = search.labels();
  if (front.empty() && !result.complete) {
    fail(ErrorKind::kInterrupted, "pareto front: ", clock.stopped() ? "stopped" : "out of time",
         " after ", clock.seconds(), " s without an assembly");
  }
  for (const reassembly::Path& path : front) {
    std::vector<size_t> chosen;
    for (size_t k = 0; k < path.size(); ++k) {
      chosen.push_back(graph.nodes[k][path[k]].candidate);
    }
    result.assemblies.push_back(reassembly::recompute(problem, chosen));
  }
  if (front.empty()) {
    reassembly::Explanation why = reassembly::explain(problem, clock);
    result.reason = std::move(why.reason);
    result.remedies = std::move(why.remedies);
  } else {
    const double best = result.assemblies[0].objective;
    result.bound = best;
    if (!result.complete) {
      // The budgets at no price: the longest path alone bounds the objective.
      reassembly::Multipliers free(graph);
      reassembly::Path path;
      double value = reassembly::kNever;
      const Control unlimited;
      free.optimise(1, path, value, Clock(unlimited));
      result.bound = std::max(best, free.bound());
    }
    result.gap = (result.bound - best) / std::max(1e-12, std::abs(best));
  }
  clock.report(1);
  result.seconds = clock.seconds();
  return result;
}

}  // namespace kintsugi::solvers
