#include "kintsugi/zoo/stitch_graph.h"

#include <algorithm>
#include <cmath>

#include "kintsugi/engine/core/error.h"
#include "kintsugi/zoo/parts.h"

namespace kintsugi::zoo {

namespace {

using nn::FeatureShape;

// The networks that licences and names leave.
std::vector<DissectedModel> kept_models(const SimilarityFile& file,
                                        const StitchGraphOptions& options,
                                        std::vector<size_t>& base) {
  std::vector<std::string> names, licences;
  for (const DissectedModel& model : file.models) {
    names.push_back(model.name);
    licences.push_back(model.licence);
  }
  const auto known = [](const std::string& name, const std::vector<std::string>& all,
                        const char* what) {
    if (std::count(all.begin(), all.end(), name) > 0) return;
    fail(ErrorKind::kUsage, "stitch graph: got '", name, "', expected ", what,
         did_you_mean(name, all));
  };
  for (const std::string& name : options.forbid) known(name, names, "a network of the zoo");
  for (const auto& [name, value] : options.quality) known(name, names, "a network of the zoo");
  for (const std::string& name : options.licences) known(name, licences, "a licence of the zoo");
  std::vector<DissectedModel> kept;
  size_t position = 0;
  for (const DissectedModel& model : file.models) {
    const auto& allowed = options.licences;
    const bool licensed =
        allowed.empty() || std::count(allowed.begin(), allowed.end(), model.licence) > 0;
    if (licensed && std::count(options.forbid.begin(), options.forbid.end(), model.name) == 0) {
      kept.push_back(model);
      base.push_back(position);
    }
    position += size_t(model.positions());
  }
  if (kept.empty()) {
    fail(ErrorKind::kInfeasible, "stitch graph: licences and --forbid leave no network");
  }
  return kept;
}

std::map<std::string, double> qualities(const Parts& parts, const StitchGraphOptions& options) {
  std::map<std::string, double> quality = options.quality;
  for (size_t m = 0; m < parts.count(); ++m) {
    const Parts::Source& source = parts.source(m);
    const auto fact = source.card.facts.find("top1");
    if (fact == source.card.facts.end()) continue;
    quality.emplace(source.model->name, std::strtod(fact->second.c_str(), nullptr) / 100);
  }
  const auto has = [&](size_t m) { return quality.count(parts.source(m).model->name) > 0; };
  size_t missing = 0;
  while (missing < parts.count() && has(missing)) ++missing;
  if (missing < parts.count() && !options.quality.empty()) {
    fail(ErrorKind::kUsage, "stitch graph: ", parts.source(missing).model->name,
         " has no quality, expected that of every network");
  }
  for (size_t m = 0; m < parts.count() && missing < parts.count(); ++m) {
    quality[parts.source(m).model->name] = 0;
  }
  return quality;
}

class Builder {
 public:
  Builder(const SimilarityFile& file, const StitchGraphOptions& options)
      : file_(file),
        options_(options),
        models_(kept_models(file, options, base_)),
        parts_(
            models_,
            {.form = options.form, .fresh_head = options.fresh_head, .classes = options.classes}),
        quality_(qualities(parts_, options)) {
    std::vector<std::string> costs = options.costs;
    for (const auto& [name, budget] : options.budgets) {
      if (std::count(costs.begin(), costs.end(), name) == 0) costs.push_back(name);
    }
    for (const std::string& name : costs) {
      chosen_.push_back(parts_.resource(name));
      problem_.resources.push_back({.name = name});
      const auto budget = options.budgets.find(name);
      if (budget != options.budgets.end()) problem_.resources.back().budget = budget->second;
    }
    problem_.max_stitches = size_t(options.max_stitches);
    problem_.min_stitches = size_t(options.min_stitches);
    problem_.depth_slack = options.depth_slack;
    for (size_t m = 0; m < models_.size(); ++m) {
      add_network(m, true);
      const auto& in = models_[m].in;
      if (std::any_of(in.begin(), in.end(), [](const auto& s) { return s.prefix_tokens > 0; })) {
        add_network(m, false);
      }
    }
    add_stitches();
  }

  const solvers::StitchGraphProblem& problem() const { return problem_; }
  const std::map<std::string, double>& quality() const { return quality_; }

  PlanFile plan_of(const solvers::StitchedNetwork& network) {
    std::vector<BlockRange> blocks;
    for (const solvers::Block& segment : network.segments) {
      blocks.push_back(range(copies_[segment.model].model, segment.first, segment.last));
    }
    return parts_.plan_of(blocks, network.objective);
  }

 private:
  // With a class token a network is there twice: as it starts, from its stem, and as it is entered.
  struct Copy {
    size_t model;
    bool home;
    std::vector<FeatureShape> in, out;  // per node: as a stitch enters and leaves
  };

  BlockRange range(size_t model, size_t first, size_t last) const {
    return {models_[model].name, int64_t(first), int64_t(last)};
  }

  std::vector<double> asked(const Parts::Costs& all) const {
    std::vector<double> out;
    for (const size_t r : chosen_) out.push_back(all.empty() ? 0 : all[r]);
    return out;
  }

  double worth(size_t model) const { return quality_.at(models_[model].name); }

  void add_network(size_t m, bool home) {
    const size_t nodes = models_[m].nodes.size();
    solvers::StitchNetwork network{.name = models_[m].name};
    Copy copy{m, home, {}, {}};
    for (size_t p = 1; p <= nodes; ++p) {
      copy.in.push_back(parts_.in(range(m, p, p), false));
      copy.out.push_back(parts_.out(range(m, p, p), home));
      network.nodes.push_back(
          {worth(m) / double(nodes), asked(parts_.block(range(m, p, p), home))});
    }
    network.starts = home;
    if (home) network.stem_cost = asked(parts_.stem(m));
    network.head_cost = asked(parts_.head(range(m, nodes, nodes), home));
    problem_.networks.push_back(std::move(network));
    copies_.push_back(std::move(copy));
  }

  bool enterable(size_t copy) const {
    const bool twice = copy + 1 < copies_.size() && copies_[copy + 1].model == copies_[copy].model;
    return !(copies_[copy].home && twice);
  }

  void add_stitches() {
    size_t positions = 0;
    std::vector<size_t> first;
    for (const Copy& copy : copies_) {
      first.push_back(positions);
      positions += models_[copy.model].nodes.size() + 1;
    }
    constexpr double kNever = -std::numeric_limits<double>::infinity();
    problem_.stitch_value = solvers::Matrix(positions, positions, kNever);
    problem_.stitch_cost.assign(chosen_.size(), solvers::Matrix(positions, positions));
    for (size_t j = 0; j < copies_.size(); ++j) {
      for (size_t i = 0; i < copies_.size(); ++i) {
        if (copies_[i].model == copies_[j].model || !enterable(i)) continue;
        add_pair(j, i, first[j], first[i]);
      }
    }
  }

  void add_pair(size_t j, size_t i, size_t row, size_t col) {
    const size_t from = copies_[j].model, to = copies_[i].model;
    const double length = double(models_[from].nodes.size());
    const double other = double(models_[to].nodes.size());
    for (size_t q = 1; q <= models_[from].nodes.size(); ++q) {
      for (size_t p = 0; p < models_[to].nodes.size(); ++p) {
        const double step = double(p) / other - double(q) / length;
        if (std::abs(step) > options_.depth_slack + 1e-9) continue;
        const FeatureShape &out = copies_[j].out[q - 1], &in = copies_[i].in[p];
        if (options_.grids_before_tokens && !out.is_grid() && in.is_grid()) continue;
        const double s = file_.similarity(base_[from] + q, base_[to] + p);
        problem_.stitch_value(row + q, col + p) = s - 1 + step * (worth(from) + worth(to)) / 2;
        const std::vector<double> cost = asked(parts_.stitch(out, in));
        for (size_t r = 0; r < cost.size(); ++r) {
          problem_.stitch_cost[r](row + q, col + p) = cost[r];
        }
      }
    }
  }

  const SimilarityFile& file_;
  const StitchGraphOptions& options_;
  std::vector<size_t> base_;  // of each kept model its position 0 in the file
  std::vector<DissectedModel> models_;
  Parts parts_;
  std::map<std::string, double> quality_;
  std::vector<size_t> chosen_;  // resources of the parts
  std::vector<Copy> copies_;    // [network of the problem]
  solvers::StitchGraphProblem problem_;
};

}  // namespace

StitchGraph stitch_graph(const SimilarityFile& similarity, const StitchGraphOptions& options,
                         const solvers::Control& control) {
  Builder builder(similarity, options);
  StitchGraph answer;
  answer.quality = builder.quality();
  answer.result = solvers::stitch_front(builder.problem(), control);
  for (const solvers::StitchedNetwork& network : answer.result.front) {
    answer.plans.push_back(builder.plan_of(network));
  }
  return answer;
}

}  // namespace kintsugi::zoo
