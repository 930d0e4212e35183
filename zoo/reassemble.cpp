// The choice of blocks (declared in assemble.h): a partition as a reassembly problem, and
// assemblies as plans.
#include <algorithm>
#include <cmath>

#include "kintsugi/engine/core/error.h"
#include "kintsugi/solvers/naswot_choice.h"
#include "kintsugi/zoo/assemble.h"
#include "kintsugi/zoo/parts.h"

namespace kintsugi::zoo {

namespace {

using nn::FeatureShape;

std::string text_of(const BlockRange& block) {
  return block.model + ":" + std::to_string(block.first) + "-" + std::to_string(block.last);
}

solvers::FeatureKind kind_of(const FeatureShape& shape) {
  return shape.is_grid() ? solvers::FeatureKind::kGrid : solvers::FeatureKind::kTokens;
}

PartsOptions parts_options(const ReassembleOptions& options) {
  if (std::isfinite(options.max_latency_ms) && !options.latency) {
    fail(ErrorKind::kUsage, "reassemble: a latency budget needs a table of latencies");
  }
  const bool peaks = options.activation || options.max_activation_bytes != ReassembleOptions::kNone;
  return {.form = options.form,
          .fresh_head = options.fresh_head,
          .classes = options.classes,
          .activation = peaks,
          .latency = options.latency ? &*options.latency : nullptr};
}

class Question {
 public:
  Question(const PartitionFile& partition, const ReassembleOptions& options)
      : partition_(partition), options_(options), parts_(partition.models, parts_options(options)) {
    problem_.resources = parts_.resources();
    problem_.models = parts_.models();
    problem_.max_per_model = size_t(options.max_per_model);
    problem_.max_sources = size_t(options.max_sources);
    problem_.grids_before_tokens = options.grids_before_tokens;
    problem_.licences = options.licences;
    limit("params", options.max_params);
    limit("macs", options.max_macs);
    limit("bytes", options.max_bytes);
    limit("activation_bytes", options.max_activation_bytes);
    if (options.latency) {
      problem_.resources[parts_.resource("latency_ms")].budget = options.max_latency_ms;
    }
    check_licences();
    for (size_t k = 0; k < partition.sets.size(); ++k) add_stage(k);
    for (size_t k = 0; k + 1 < partition.sets.size(); ++k) add_stitches(k);
    for (const std::string& name : options.force) mark(name, true);
    for (const std::string& name : options.forbid) mark(name, false);
  }

  const solvers::ReassemblyProblem& problem() const { return problem_; }
  const Parts& parts() const { return parts_; }
  size_t block_of(size_t k, size_t candidate) const { return states_[k][candidate].block; }

  std::vector<std::string> resources() const {
    std::vector<std::string> names;
    for (const solvers::Resource& r : problem_.resources) names.push_back(r.name);
    return names;
  }

  PlanFile plan_of(const solvers::Assembly& assembly) {
    std::vector<BlockRange> blocks;
    for (size_t k = 0; k < states_.size(); ++k) {
      blocks.push_back(partition_.sets[k].blocks[states_[k][assembly.chosen[k]].block]);
    }
    return parts_.plan_of(blocks, assembly.objective);
  }

 private:
  struct State {
    size_t block;  // of the set
    bool home;     // as of Parts
  };

  void limit(const std::string& name, int64_t budget) {
    if (budget == ReassembleOptions::kNone) return;
    problem_.resources[parts_.resource(name)].budget = double(budget);
  }

  void check_licences() const {
    std::vector<std::string> known;
    for (const solvers::SourceModel& model : problem_.models) {
      if (!model.licence.empty()) known.push_back(model.licence);
    }
    for (const std::string& licence : options_.licences) {
      if (std::count(known.begin(), known.end(), licence) > 0) continue;
      std::string list;
      std::sort(known.begin(), known.end());
      known.erase(std::unique(known.begin(), known.end()), known.end());
      for (const std::string& each : known) list += (list.empty() ? "" : ", ") + each;
      fail(ErrorKind::kUsage, "licences: got '", licence, "', expected some of ",
           list.empty() ? "none: no network of the partition says its licence" : list,
           did_you_mean(licence, known));
    }
  }

  // The first block of an assembly starts with its network's stem, so only a network's first will
  // do. A block that a class token can reach is there twice: with it, when all before it is its own
  // network's, and without.
  void add_stage(size_t k) {
    const std::vector<BlockRange>& blocks = partition_.sets[k].blocks;
    std::vector<State> states;
    for (size_t b = 0; b < blocks.size(); ++b) {
      if (k > 0) states.push_back({b, false});
      if (k == 0 && blocks[b].first == 1) states.push_back({b, true});
    }
    for (size_t b = 0; k > 0 && b < blocks.size(); ++b) {
      if (!parts_.has_prefix(blocks[b])) continue;
      const auto reaches = [&](const State& left) {
        return left.home && neighbours(partition_.sets[k - 1].blocks[left.block], blocks[b]);
      };
      if (std::any_of(states_[k - 1].begin(), states_[k - 1].end(), reaches)) {
        states.push_back({b, true});
      }
    }
    std::vector<solvers::Candidate> candidates;
    for (const State& state : states) {
      const BlockRange& range = blocks[state.block];
      solvers::Candidate c{.model = parts_.index_of(range.model),
                           .value = partition_.sets[k].similarity[state.block],
                           .cost = parts_.block(range, state.home)};
      c.in = kind_of(parts_.in(range, false));
      c.out = kind_of(parts_.out(range, false));
      c.name = text_of(range);
      c.block = state.block;
      if (k == 0) c.stem_cost = parts_.stem(c.model);
      if (k + 1 == partition_.sets.size()) c.head_cost = parts_.head(range, state.home);
      candidates.push_back(std::move(c));
    }
    states_.push_back(std::move(states));
    problem_.stages.push_back(std::move(candidates));
  }

  void add_stitches(size_t k) {
    const auto &left = states_[k], &right = states_[k + 1];
    std::vector<std::vector<solvers::Stitch>> table(left.size());
    for (size_t a = 0; a < left.size(); ++a) {
      const BlockRange& from = partition_.sets[k].blocks[left[a].block];
      for (const State& state : right) {
        const BlockRange& to = partition_.sets[k + 1].blocks[state.block];
        solvers::Stitch stitch{.value = partition_.stitches[k](left[a].block, state.block)};
        const bool token = parts_.has_prefix(to);
        if (neighbours(from, to)) {
          // The token comes along; a block that never had one is the same either way.
          stitch.possible = !token || left[a].home == state.home;
        } else {
          stitch.possible = !state.home;
          if (stitch.possible) {
            stitch.cost = parts_.stitch(parts_.out(from, left[a].home), parts_.in(to, false));
          }
        }
        table[a].push_back(std::move(stitch));
      }
    }
    problem_.stitches.push_back(std::move(table));
  }

  // `name`: "NAME:FIRST-LAST", or, to forbid, "NAME" alone.
  void mark(const std::string& name, bool force) {
    std::vector<std::string> names;
    bool found = false;
    for (auto& stage : problem_.stages) {
      for (solvers::Candidate& c : stage) {
        const std::string& model = problem_.models[c.model].name;
        names.push_back(c.name);
        if (!force) names.push_back(model);
        if (name != c.name && (force || name != model)) continue;
        (force ? c.forced : c.forbidden) = true;
        found = true;
      }
    }
    if (found) return;
    fail(ErrorKind::kUsage, force ? "--force" : "--forbid", ": got '", name,
         "', expected a block of the partition, NAME:FIRST-LAST", force ? "" : ", or a network",
         did_you_mean(name, names));
  }

  const PartitionFile& partition_;
  const ReassembleOptions& options_;
  Parts parts_;
  solvers::ReassemblyProblem problem_;
  std::vector<std::vector<State>> states_;  // [stage][candidate]
};

}  // namespace

Reassembly reassemble(const PartitionFile& partition, const ReassembleOptions& options,
                      const solvers::Control& control) {
  Question question(partition, options);
  Reassembly answer;
  answer.resources = question.resources();
  answer.result = solvers::reassemble(question.problem(),
                                      {.solver = options.solver,
                                       .best = size_t(options.best),
                                       .diversity = size_t(options.diversity)},
                                      control);
  for (const solvers::Assembly& assembly : answer.result.assemblies) {
    answer.plans.push_back(question.plan_of(assembly));
  }
  if (!answer.plans.empty()) {
    answer.plans[0].bound = answer.result.bound;
    answer.plans[0].gap = answer.result.gap;
  }
  return answer;
}

ReassemblyFront reassemble_front(const PartitionFile& partition, const ReassembleOptions& options,
                                 const std::vector<std::string>& costs,
                                 const solvers::Control& control) {
  Question question(partition, options);
  std::vector<size_t> resources;
  for (const std::string& name : costs) resources.push_back(question.parts().resource(name));
  ReassemblyFront answer;
  answer.resources = question.resources();
  answer.result = solvers::pareto_front(question.problem(), resources, control);
  for (const solvers::Assembly& assembly : answer.result.assemblies) {
    answer.plans.push_back(question.plan_of(assembly));
  }
  return answer;
}

Reassembly reassemble_naswot(const PartitionFile& partition, const ReassembleOptions& options,
                             std::vector<std::vector<solvers::Matrix>> kernels,
                             const solvers::Control& control) {
  Question question(partition, options);
  solvers::NaswotProblem problem{question.problem(), {}};
  for (size_t k = 0; k < problem.assembly.stages.size(); ++k) {
    problem.kernels.emplace_back();
    for (size_t c = 0; c < problem.assembly.stages[k].size(); ++c) {
      problem.assembly.stages[k][c].value = 0;
      problem.kernels[k].push_back(kernels.at(k).at(question.block_of(k, c)));
    }
  }
  for (auto& table : problem.assembly.stitches) {
    for (auto& row : table) {
      for (solvers::Stitch& stitch : row) stitch.value = 0;
    }
  }
  const solvers::NaswotResult result = solvers::exact_naswot(problem, control);
  Reassembly answer;
  answer.resources = question.resources();
  answer.result.status = result.status;
  answer.result.seconds = result.seconds;
  answer.result.nodes = result.nodes;
  answer.result.reason = result.reason;
  answer.result.remedies = result.remedies;
  if (result.status == solvers::ReassemblyStatus::kInfeasible) return answer;
  // Per image, as naswot() gives it.
  const double images = double(problem.kernels[0][0].rows);
  solvers::Assembly best = result.best;
  best.objective /= images;
  answer.result.objective = best.objective;
  answer.result.bound = result.bound / images;
  answer.result.gap = result.gap;
  answer.plans.push_back(question.plan_of(best));
  answer.plans[0].bound = answer.result.bound;
  answer.plans[0].gap = answer.result.gap;
  answer.result.assemblies.push_back(std::move(best));
  return answer;
}

}  // namespace kintsugi::zoo
