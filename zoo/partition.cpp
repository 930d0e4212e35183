#include "kintsugi/zoo/partition.h"

namespace kintsugi::zoo {

namespace {

BlockRange to_range(const SimilarityFile& file, const solvers::Block& block) {
  return {file.models[block.model].name, int64_t(block.first), int64_t(block.last)};
}

}  // namespace

PartitionFile partition_zoo(const SimilarityFile& file, const PartitionOptions& options,
                            const solvers::Control& control) {
  if (options.k < 1) fail(ErrorKind::kUsage, "partition: got k = ", options.k, ", expected at least 1");
  solvers::PartitionProblem problem;
  for (const DissectedModel& model : file.models) {
    problem.nodes.push_back(model.nodes.size());
    problem.names.push_back(model.name);
  }
  problem.similarity = file.similarity;
  problem.sets = size_t(options.k);
  problem.epsilon = options.epsilon;
  problem.size_bound = options.size_bound;
  const solvers::PartitionResult result =
      solvers::exact_partition(problem, {.restarts = 20, .seed = options.seed}, control);

  PartitionFile out;
  out.k = options.k;
  out.epsilon = options.epsilon;
  out.size_bound = options.size_bound == solvers::SizeBound::kCeil ? "ceil" : "strict";
  out.models = file.models;
  for (const auto& cuts : result.best.cuts) out.cuts.emplace_back(cuts.begin(), cuts.end());
  std::vector<size_t> base{0};
  for (const size_t nodes : problem.nodes) base.push_back(base.back() + nodes + 1);
  for (size_t k = 0; k < problem.sets; ++k) {
    PartitionFile::Set set;
    const solvers::Block& anchor = result.best.anchors[k];
    set.anchor = to_range(file, anchor);
    for (size_t m = 0; m < problem.nodes.size(); ++m) {
      const solvers::Block block = solvers::block_of(problem, result.best, m, k);
      set.blocks.push_back(to_range(file, block));
      set.similarity.push_back(solvers::block_similarity(problem, block, anchor));
    }
    out.sets.push_back(std::move(set));
  }
  for (size_t k = 0; k + 1 < problem.sets; ++k) {
    const size_t n = problem.nodes.size();
    solvers::Matrix scores(n, n);
    for (size_t a = 0; a < n; ++a) {
      for (size_t b = 0; b < n; ++b) {
        const solvers::Block left = solvers::block_of(problem, result.best, a, k);
        const solvers::Block right = solvers::block_of(problem, result.best, b, k + 1);
        scores(a, b) = file.similarity(base[a] + left.last, base[b] + right.first - 1);
      }
    }
    out.stitches.push_back(std::move(scores));
  }
  out.objective = result.best.objective;
  out.bound = result.bound;
  out.gap = result.gap;
  out.seconds = result.seconds;
  if (options.heuristic) {
    const solvers::PartitionResult swap = solvers::swap_partition(problem, 200, options.seed, control);
    out.heuristic = PartitionFile::Heuristic{swap.best.objective, swap.seconds};
  }
  return out;
}

}  // namespace kintsugi::zoo
