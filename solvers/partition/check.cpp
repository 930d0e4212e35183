// The checker: every rule in its own words, and the objective from cuts, sets and anchors alone. It
// shares nothing with the solvers but the size bound's formula.
#include <algorithm>
#include <numeric>

#include "kintsugi/engine/core/error.h"
#include "kintsugi/solvers/partition.h"

namespace kintsugi::solvers {

namespace {

std::string who(const PartitionProblem& problem, size_t model) {
  if (model < problem.names.size()) return "'" + problem.names[model] + "'";
  return "network " + std::to_string(model);
}

void check_block(const PartitionProblem& problem, const Block& b, size_t index, size_t blocks) {
  const std::string name = who(problem, b.model);
  const size_t nodes = problem.nodes[b.model];
  if (b.last < b.first || b.last > nodes) {
    fail(ErrorKind::kUsage, "partition: block ", index + 1, " of ", name, " is nodes ", b.first,
         " to ", b.last, ", expected 1 or more of its ", nodes, " nodes");
  }
  const auto size_of = [&](size_t first, size_t last) {
    if (problem.sizes.empty()) return double(last - first + 1);
    const auto& sizes = problem.sizes[b.model];
    return std::accumulate(sizes.begin() + ptrdiff_t(first - 1), sizes.begin() + ptrdiff_t(last),
                           0.0);
  };
  const double cap =
      block_cap(size_of(1, nodes), blocks, problem.epsilon, problem.size_bound);
  if (size_of(b.first, b.last) > cap) {
    fail(ErrorKind::kUsage, "partition: block ", index + 1, " of ", name, " is nodes ", b.first,
         " to ", b.last, " of size ", size_of(b.first, b.last), ", expected at most ", cap);
  }
  for (const CutPoint& c : problem.must_cut) {
    if (c.model == b.model && c.at >= b.first && c.at < b.last) {
      fail(ErrorKind::kUsage, "partition: ", name, " is not cut after node ", c.at);
    }
  }
  for (const CutPoint& c : problem.must_not_cut) {
    if (c.model == b.model && c.at == b.last) {
      fail(ErrorKind::kUsage, "partition: ", name, " is cut after node ", c.at);
    }
  }
}

}  // namespace

double evaluate(const PartitionProblem& problem, const Partition& partition) {
  const size_t networks = problem.nodes.size();
  if (partition.cuts.size() != networks || partition.set_of.size() != networks ||
      partition.anchors.size() != problem.sets) {
    fail(ErrorKind::kUsage, "partition: cuts of ", partition.cuts.size(), " networks and ",
         partition.anchors.size(), " anchors, expected ", networks, " and ", problem.sets);
  }
  std::vector<size_t> start(networks, 0);
  for (size_t i = 1; i < networks; ++i) start[i] = start[i - 1] + problem.nodes[i - 1] + 1;
  std::vector<size_t> anchored(problem.sets, 0);
  double total = 0;
  for (size_t i = 0; i < networks; ++i) {
    const size_t blocks = problem.blocks.empty() ? problem.sets : problem.blocks[i];
    if (partition.cuts[i].size() + 1 != blocks || partition.set_of[i].size() != blocks) {
      fail(ErrorKind::kUsage, "partition: ", who(problem, i), " has ", partition.cuts[i].size(),
           " cuts, expected ", blocks - 1);
    }
    for (size_t b = 0; b < blocks; ++b) {
      const size_t set = partition.set_of[i][b];
      if (set >= problem.sets ||
          (!problem.free_sets && b > 0 && set <= partition.set_of[i][b - 1])) {
        fail(ErrorKind::kUsage, "partition: block ", b + 1, " of ", who(problem, i),
             " stands in set ", set + 1, problem.free_sets ? "" : ", expected a later one");
      }
      const Block block{i, (b == 0 ? 0 : partition.cuts[i][b - 1]) + 1,
                        b + 1 == blocks ? problem.nodes[i] : partition.cuts[i][b]};
      check_block(problem, block, b, blocks);
      const Block& a = partition.anchors[set];
      if (a == block) ++anchored[set];
      if (a.model >= networks || a.first < 1 || a.last > problem.nodes[a.model]) continue;
      total += problem.similarity(start[i] + block.first - 1, start[a.model] + a.first - 1) +
               problem.similarity(start[i] + block.last, start[a.model] + a.last);
    }
  }
  for (size_t k = 0; k < problem.sets; ++k) {
    const size_t model = partition.anchors[k].model;
    if (anchored[k] != 1) {
      fail(ErrorKind::kUsage, "partition: the anchor of set ", k + 1, " is no block of the set");
    }
    const auto& from = problem.anchors_from;
    if (!from.empty() && std::find(from.begin(), from.end(), model) == from.end()) {
      fail(ErrorKind::kUsage, "partition: the anchor of set ", k + 1, " is of ",
           who(problem, model), ", which may give none");
    }
  }
  for (const size_t model : problem.forced) {
    if (std::none_of(partition.anchors.begin(), partition.anchors.end(),
                     [&](const Block& a) { return a.model == model; })) {
      fail(ErrorKind::kUsage, "partition: ", who(problem, model), " gives no anchor");
    }
  }
  return total;
}

}  // namespace kintsugi::solvers
