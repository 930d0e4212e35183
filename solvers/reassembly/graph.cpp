#include "kintsugi/solvers/reassembly/graph.h"

#include <algorithm>

namespace kintsugi::solvers::reassembly {

namespace {

void join(const Graph& graph, std::vector<double>& sum, const std::vector<double>& term) {
  for (size_t r = 0; r < term.size(); ++r) sum[r] = graph.joined(r, sum[r], term[r]);
}

}  // namespace

Graph make_graph(const ReassemblyProblem& problem) {
  Graph graph;
  const size_t stages = problem.stages.size(), resources = problem.resources.size();
  for (const Resource& r : problem.resources) {
    graph.budget.push_back(r.peak ? kUnlimited : r.budget);
    graph.peak.push_back(r.peak);
  }
  graph.max_per_model = problem.max_per_model == 0 ? (stages + 1) / 2 : problem.max_per_model;
  graph.min_models = problem.min_models;
  graph.max_sources = problem.max_sources == 0 ? stages : problem.max_sources;
  const auto below_peaks = [&](const double* cost) {
    for (size_t r = 0; r < resources; ++r) {
      if (graph.peak[r] && !Graph::within(cost[r], problem.resources[r].budget)) return false;
    }
    return true;
  };
  const auto licensed = [&](size_t model) {
    const auto& allowed = problem.licences;
    return allowed.empty() ||
           (model < problem.models.size() &&
            std::count(allowed.begin(), allowed.end(), problem.models[model].licence) > 0);
  };
  for (size_t k = 0; k < stages; ++k) {
    const std::vector<Candidate>& list = problem.stages[k];
    const bool forced =
        std::any_of(list.begin(), list.end(), [](const auto& c) { return c.forced; });
    std::vector<Node> nodes;
    for (size_t c = 0; c < list.size(); ++c) {
      const Candidate& of = list[c];
      const size_t source = problem.models.empty() ? of.model : problem.models[of.model].checkpoint;
      graph.models = std::max(graph.models, of.model + 1);
      graph.sources = std::max(graph.sources, source + 1);
      if (of.forbidden || (forced && !of.forced) || !licensed(of.model)) continue;
      const size_t block = of.block == Candidate::kOwn ? list.size() + c : of.block;
      Node node{c, of.model, source, block, of.value, of.cost};
      if (k == 0) join(graph, node.cost, of.stem_cost);
      if (k + 1 == stages) join(graph, node.cost, of.head_cost);
      if (below_peaks(node.cost.data())) nodes.push_back(std::move(node));
    }
    graph.nodes.push_back(std::move(nodes));
  }
  for (size_t k = 0; k + 1 < stages; ++k) {
    const auto &left = graph.nodes[k], &right = graph.nodes[k + 1];
    Matrix value(left.size(), right.size(), kNever);
    std::vector<double> cost(left.size() * right.size() * resources, 0);
    for (size_t a = 0; a < left.size(); ++a) {
      for (size_t b = 0; b < right.size(); ++b) {
        const size_t from = left[a].candidate, to = right[b].candidate;
        const Stitch& stitch = problem.stitches[k][from][to];
        const bool back = problem.stages[k][from].out == FeatureKind::kTokens &&
                          problem.stages[k + 1][to].in == FeatureKind::kGrid;
        if (!stitch.possible || (problem.grids_before_tokens && back)) continue;
        if (!stitch.cost.empty() && !below_peaks(stitch.cost.data())) continue;
        value(a, b) = stitch.value;
        std::copy(stitch.cost.begin(), stitch.cost.end(),
                  cost.begin() + ptrdiff_t((a * right.size() + b) * resources));
      }
    }
    graph.arc_value.push_back(std::move(value));
    graph.arc_cost.push_back(std::move(cost));
  }
  return graph;
}

std::vector<Matrix> least_endings(const Graph& graph) {
  const size_t resources = graph.resources();
  std::vector<Matrix> least;
  for (const auto& nodes : graph.nodes) least.emplace_back(nodes.size(), resources, kUnlimited);
  std::fill(least.back().values.begin(), least.back().values.end(), 0.0);
  for (size_t k = graph.stages() - 1; k-- > 0;) {
    for (size_t a = 0; a < graph.nodes[k].size(); ++a) {
      for (size_t b = 0; b < graph.nodes[k + 1].size(); ++b) {
        if (graph.arc_value[k](a, b) == kNever) continue;
        for (size_t r = 0; r < resources; ++r) {
          const double step = graph.costs(k, a, b)[r] + graph.nodes[k + 1][b].cost[r];
          least[k](a, r) = std::min(least[k](a, r), step + least[k + 1](b, r));
        }
      }
    }
  }
  return least;
}

std::vector<std::vector<size_t>> later_stages(const Graph& graph) {
  std::vector<std::vector<size_t>> later(graph.stages(), std::vector<size_t>(graph.models, 0));
  for (size_t k = graph.stages() - 1; k-- > 0;) {
    std::vector<char> seen(graph.models, 0);
    for (const Node& node : graph.nodes[k + 1]) seen[node.model] = 1;
    for (size_t m = 0; m < graph.models; ++m) later[k][m] = later[k + 1][m] + size_t(seen[m]);
  }
  return later;
}

double Graph::value_of(const Path& path) const {
  double value = 0;
  for (size_t k = 0; k < path.size(); ++k) {
    value += nodes[k][path[k]].value;
    if (k > 0) value += arc_value[k - 1](path[k - 1], path[k]);
  }
  return value;
}

std::vector<double> Graph::cost_of(const Path& path) const {
  std::vector<double> sum(resources(), 0);
  for (size_t k = 0; k < path.size(); ++k) {
    join(*this, sum, nodes[k][path[k]].cost);
    if (k == 0) continue;
    const double* arc = costs(k - 1, path[k - 1], path[k]);
    for (size_t r = 0; r < resources(); ++r) sum[r] = joined(r, sum[r], arc[r]);
  }
  return sum;
}

bool Graph::admits(const Path& path) const {
  if (value_of(path) == kNever) return false;
  const std::vector<double> cost = cost_of(path);
  for (size_t r = 0; r < resources(); ++r) {
    if (!within(cost[r], budget[r])) return false;
  }
  std::vector<size_t> count(models, 0), uses(sources, 0);
  size_t distinct = 0, checkpoints = 0;
  for (size_t k = 0; k < path.size(); ++k) {
    const Node& node = nodes[k][path[k]];
    const size_t n = ++count[node.model];
    if (n > max_per_model) return false;
    distinct += n == 1;
    checkpoints += ++uses[node.source] == 1;
  }
  if (distinct < min_models || checkpoints > max_sources) return false;
  for (const NoGood& bad : no_goods) {
    size_t common = 0;
    for (size_t k = 0; k < path.size(); ++k) common += same_block(k, path[k], bad.path[k]);
    if (common > bad.most) return false;
  }
  return true;
}

}  // namespace kintsugi::solvers::reassembly
