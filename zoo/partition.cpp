#include "kintsugi/zoo/partition.h"

#include <algorithm>
#include <charconv>

#include "kintsugi/solvers/compat/dery_partition.h"

namespace kintsugi::zoo {

namespace {

constexpr const char* kSizes[] = {"nodes", "params", "macs"};

size_t find_model(const SimilarityFile& file, const std::string& name, const char* option) {
  std::vector<std::string> names;
  for (size_t m = 0; m < file.models.size(); ++m) {
    if (file.models[m].name == name) return m;
    names.push_back(file.models[m].name);
  }
  fail(ErrorKind::kUsage, "partition: ", option, ": no network '", name, "' in the similarity file",
       did_you_mean(name, names));
}

int64_t whole_number(const std::string& text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size() ? value : -1;
}

// "NAME<mark>REST", at the last mark: names may hold colons.
std::pair<size_t, std::string> split(const SimilarityFile& file, const std::string& word, char mark,
                                     const char* option, const char* form) {
  const size_t at = word.rfind(mark);
  if (at == std::string::npos || at == 0 || at + 1 == word.size()) {
    fail(ErrorKind::kUsage, "partition: ", option, ": got '", word, "', expected ", form);
  }
  return {find_model(file, word.substr(0, at), option), word.substr(at + 1)};
}

solvers::CutPoint place(const SimilarityFile& file, const std::string& word, const char* option) {
  const auto [m, where] = split(file, word, ':', option, "NAME:PLACE");
  const auto& nodes = file.models[m].nodes;
  int64_t after = whole_number(where);
  if (after < 0) {
    const auto node = std::find(nodes.begin(), nodes.end(), where);
    if (node == nodes.end()) {
      fail(ErrorKind::kUsage, "partition: ", option, ": ", file.models[m].name, " has no node '",
           where, "'", did_you_mean(where, nodes));
    }
    after = node - nodes.begin() + 1;
  }
  return {m, size_t(after)};
}

std::vector<size_t> find_models(const SimilarityFile& file, const std::vector<std::string>& names,
                                const char* option) {
  std::vector<size_t> models;
  for (const std::string& name : names) models.push_back(find_model(file, name, option));
  return models;
}

BlockRange to_range(const SimilarityFile& file, const solvers::Block& block) {
  return {file.models[block.model].name, int64_t(block.first), int64_t(block.last)};
}

}  // namespace

const char* to_string(BlockSize size) {
  return kSizes[size_t(size)];
}

BlockSize parse_block_size(const std::string& name) {
  const std::vector<std::string> names(std::begin(kSizes), std::end(kSizes));
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i] == name) return BlockSize(i);
  }
  fail(ErrorKind::kUsage, "partition: no block size '", name, "'", did_you_mean(name, names));
}

SimilarityFile without_forbidden(const SimilarityFile& file, const PartitionOptions& options) {
  std::vector<char> keep(file.models.size(), 1);
  for (const size_t m : find_models(file, options.forbidden, "--forbid")) keep[m] = 0;
  SimilarityFile kept = file;
  kept.models.clear();
  std::vector<size_t> positions;
  for (size_t m = 0, at = 0; m < file.models.size(); ++m) {
    for (int64_t p = 0; p < file.models[m].positions(); ++p, ++at) {
      if (keep[m]) positions.push_back(at);
    }
    if (keep[m]) kept.models.push_back(file.models[m]);
  }
  kept.similarity = solvers::Matrix(positions.size(), positions.size());
  for (size_t i = 0; i < positions.size(); ++i) {
    for (size_t j = 0; j < positions.size(); ++j) {
      kept.similarity(i, j) = file.similarity(positions[i], positions[j]);
    }
  }
  return kept;
}

solvers::PartitionProblem partition_problem(const SimilarityFile& file,
                                            const PartitionOptions& options) {
  if (options.k < 1) {
    fail(ErrorKind::kUsage, "partition: got k = ", options.k, ", expected at least 1");
  }
  solvers::PartitionProblem problem;
  for (const DissectedModel& model : file.models) {
    problem.nodes.push_back(model.nodes.size());
    problem.names.push_back(model.name);
    if (options.size == BlockSize::kNodes) continue;
    problem.sizes.emplace_back();
    for (const nn::Cost& cost : model.costs) {
      problem.sizes.back().push_back(
          double(options.size == BlockSize::kParams ? cost.params : cost.macs));
    }
  }
  problem.similarity = file.similarity;
  problem.sets = size_t(options.k);
  problem.epsilon = options.epsilon;
  problem.size_bound = options.size_bound;
  problem.free_sets = options.free_sets;
  if (!options.blocks.empty()) problem.blocks.assign(file.models.size(), problem.sets);
  for (const std::string& word : options.blocks) {
    const auto [m, text] = split(file, word, '=', "--blocks", "NAME=BLOCKS");
    const int64_t count = whole_number(text);
    if (count < 1 || count > options.k) {
      fail(ErrorKind::kUsage, "partition: --blocks: got '", text, "' for ", file.models[m].name,
           ", expected 1 to k = ", options.k);
    }
    problem.blocks[m] = size_t(count);
  }
  for (const std::string& word : options.must_cut) {
    problem.must_cut.push_back(place(file, word, "--cut"));
  }
  for (const std::string& word : options.must_not_cut) {
    problem.must_not_cut.push_back(place(file, word, "--no-cut"));
  }
  problem.anchors_from = find_models(file, options.anchors_from, "--anchors-from");
  problem.forced = find_models(file, options.forced, "--force");
  return problem;
}

namespace {

// Sets of blocks as the file has them, with the scores of the stitches between.
void fill_sets(PartitionFile& out, const SimilarityFile& file,
               const solvers::PartitionProblem& problem,
               const std::vector<std::vector<solvers::Block>>& members,
               const std::vector<solvers::Block>& anchors) {
  for (size_t k = 0; k < members.size(); ++k) {
    PartitionFile::Set set;
    set.anchor = to_range(file, anchors[k]);
    for (const solvers::Block& block : members[k]) {
      set.blocks.push_back(to_range(file, block));
      set.similarity.push_back(solvers::block_similarity(problem, block, anchors[k]));
    }
    out.sets.push_back(std::move(set));
  }
  std::vector<size_t> base{0};
  for (const size_t nodes : problem.nodes) base.push_back(base.back() + nodes + 1);
  for (size_t k = 0; k + 1 < members.size(); ++k) {
    solvers::Matrix scores(members[k].size(), members[k + 1].size());
    for (size_t a = 0; a < scores.rows; ++a) {
      for (size_t b = 0; b < scores.cols; ++b) {
        const solvers::Block &left = members[k][a], &right = members[k + 1][b];
        scores(a, b) =
            file.similarity(base[left.model] + left.last, base[right.model] + right.first - 1);
      }
    }
    out.stitches.push_back(std::move(scores));
  }
}

void fill_reference(PartitionFile& out, const SimilarityFile& file,
                    const solvers::PartitionProblem& problem, const PartitionOptions& options,
                    const solvers::Control& control) {
  const solvers::compat::DeryPartition made =
      solvers::compat::dery_partition(problem, size_t(options.trials), options.seed, control);
  for (const auto& cuts : made.cuts) out.cuts.emplace_back(cuts.begin(), cuts.end());
  std::vector<std::vector<solvers::Block>> members;
  std::vector<solvers::Block> anchors;
  for (size_t k = 0; k < made.sets.size(); ++k) {
    members.emplace_back();
    anchors.push_back(made.centres[k].block);
    for (const solvers::compat::StagedBlock& b : made.sets[k]) members.back().push_back(b.block);
  }
  fill_sets(out, file, problem, members, anchors);
  // By the contract's objective, each block once.
  for (const PartitionFile::Set& set : out.sets) {
    for (size_t b = 1; b < set.similarity.size(); ++b) out.objective += set.similarity[b];
  }
  out.bound = out.gap = std::numeric_limits<double>::infinity();
  out.seconds = made.seconds;
  const solvers::PartitionResult exact = solvers::exact_partition(problem, {}, control);
  out.compat = "dery";
  out.reference = PartitionFile::Reference{made.total,
                                           made.best_total,
                                           int64_t(made.cap),
                                           int64_t(made.over_size),
                                           int64_t(made.stale_centres),
                                           int64_t(made.overlaps),
                                           exact.best.objective,
                                           exact.seconds};
}

}  // namespace

PartitionFile partition_zoo(const SimilarityFile& all, const PartitionOptions& options,
                            const solvers::Control& control) {
  const SimilarityFile file = without_forbidden(all, options);
  const solvers::PartitionProblem problem = partition_problem(file, options);
  PartitionFile out;
  out.k = options.k;
  out.epsilon = options.epsilon;
  out.size_bound = options.size_bound == solvers::SizeBound::kCeil ? "ceil" : "strict";
  out.size = to_string(options.size);
  out.free_sets = options.free_sets;
  out.models = file.models;
  if (options.dery) {
    fill_reference(out, file, problem, options, control);
    return out;
  }
  const solvers::PartitionResult result = solvers::exact_partition(
      problem, {.solver = options.solver, .seed = options.seed}, control);
  for (const auto& cuts : result.best.cuts) out.cuts.emplace_back(cuts.begin(), cuts.end());
  std::vector<std::vector<solvers::Block>> members(problem.sets);
  for (size_t m = 0; m < problem.nodes.size(); ++m) {
    for (size_t b = 0; b < result.best.set_of[m].size(); ++b) {
      members[result.best.set_of[m][b]].push_back(solvers::block_of(problem, result.best, m, b));
    }
  }
  fill_sets(out, file, problem, members, result.best.anchors);
  out.objective = result.best.objective;
  out.bound = result.bound;
  out.gap = result.gap;
  out.seconds = result.seconds;
  if (options.heuristic && !options.free_sets) {
    const solvers::PartitionResult swap =
        solvers::swap_partition(problem, 200, options.seed, control);
    out.heuristic = PartitionFile::Heuristic{swap.best.objective, swap.seconds};
  }
  return out;
}

}  // namespace kintsugi::zoo
