#include <algorithm>
#include <cmath>
#include <numeric>

#include "kintsugi/engine/core/error.h"
#include "kintsugi/solvers/partition.h"

namespace kintsugi::solvers {

namespace {

std::string name_of(const PartitionProblem& problem, size_t model) {
  if (model < problem.names.size()) return "'" + problem.names[model] + "'";
  return "network " + std::to_string(model);
}

void check_matrix(const PartitionProblem& problem) {
  const Matrix& s = problem.similarity;
  if (s.rows != s.cols || s.values.size() != s.rows * s.cols) {
    fail(ErrorKind::kShape, "partition: the similarity matrix is ", s.rows, " by ", s.cols,
         ", expected a square one");
  }
  const size_t nodes = std::accumulate(problem.nodes.begin(), problem.nodes.end(), size_t{0});
  const size_t positions = nodes + problem.nodes.size();
  if (s.rows != positions) {
    fail(ErrorKind::kShape, "partition: the similarity matrix has ", s.rows, " positions, but ",
         problem.nodes.size(), " networks of ", nodes, " nodes have ", positions);
  }
  for (size_t i = 0; i < s.rows; ++i) {
    for (size_t j = 0; j < s.cols; ++j) {
      if (!(std::abs(s(i, j)) <= 1 + 1e-6)) {
        fail(ErrorKind::kNumeric, "partition: the similarity of positions ", i, " and ", j, " is ",
             s(i, j), ", expected a number in [-1, 1]");
      }
    }
  }
}

// The least epsilon, to four digits, that leaves room for an even partition.
double least_epsilon(size_t nodes, size_t sets, SizeBound bound) {
  const double even = double((nodes + sets - 1) / sets);
  double epsilon = std::max(0.0, std::floor((even * double(sets) / double(nodes) - 1) * 1e4) / 1e4);
  while (block_cap(nodes, sets, epsilon, bound) * sets < nodes) epsilon += 1e-4;
  return epsilon;
}

}  // namespace

size_t block_cap(size_t nodes, size_t sets, double epsilon, SizeBound bound) {
  const double room = std::ceil((1 + epsilon) * double(nodes) / double(sets) - 1e-9);
  const double cap = bound == SizeBound::kStrict ? room - 1 : room;
  return size_t(std::clamp(cap, 0.0, double(nodes)));
}

void validate(const PartitionProblem& problem) {
  if (problem.nodes.empty()) fail(ErrorKind::kUsage, "partition: the zoo is empty");
  if (problem.nodes.size() == 1) {
    fail(ErrorKind::kUsage, "partition: a zoo of one network: reassembly needs at least two");
  }
  if (!problem.names.empty() && problem.names.size() != problem.nodes.size()) {
    fail(ErrorKind::kUsage, "partition: ", problem.names.size(), " names for ",
         problem.nodes.size(), " networks");
  }
  if (problem.sets == 0) fail(ErrorKind::kUsage, "partition: k is 0, expected at least 1");
  if (!(problem.epsilon >= 0) || std::isinf(problem.epsilon)) {
    fail(ErrorKind::kUsage, "partition: epsilon is ", problem.epsilon, ", expected 0 or more");
  }
  check_matrix(problem);
  const auto least = std::min_element(problem.nodes.begin(), problem.nodes.end());
  if (*least < problem.sets) {
    fail(ErrorKind::kUsage, "partition: k is ", problem.sets, ", but ",
         name_of(problem, size_t(least - problem.nodes.begin())), " has only ", *least, " nodes");
  }
  for (size_t i = 0; i < problem.nodes.size(); ++i) {
    const size_t nodes = problem.nodes[i];
    const size_t cap = block_cap(nodes, problem.sets, problem.epsilon, problem.size_bound);
    if (cap * problem.sets >= nodes) continue;
    double needed = 0;  // what the worst network needs, so that one correction is enough
    for (const size_t n : problem.nodes) {
      needed = std::max(needed, least_epsilon(n, problem.sets, problem.size_bound));
    }
    fail(ErrorKind::kInfeasible, "partition: epsilon ", problem.epsilon, " allows ",
         name_of(problem, i), " blocks of ", cap, " nodes, too few for its ", nodes, " nodes in ",
         problem.sets, " blocks; the smallest epsilon that would do for every network is ", needed);
  }
}

std::vector<uint64_t> count_partitions(const PartitionProblem& problem) {
  std::vector<uint64_t> counts;
  for (const size_t nodes : problem.nodes) {
    const size_t cap = block_cap(nodes, problem.sets, problem.epsilon, problem.size_bound);
    std::vector<uint64_t> ways(nodes + 1, 0);
    ways[0] = 1;
    for (size_t k = 0; k < problem.sets; ++k) {
      std::vector<uint64_t> next(nodes + 1, 0);
      for (size_t e = 1; e <= nodes; ++e) {
        for (size_t s = e > cap ? e - cap : 0; s < e; ++s) {
          if (__builtin_add_overflow(next[e], ways[s], &next[e])) next[e] = UINT64_MAX;
        }
      }
      ways = std::move(next);
    }
    counts.push_back(ways[nodes]);
  }
  return counts;
}

Block block_of(const PartitionProblem& problem, const Partition& partition, size_t model,
               size_t k) {
  const std::vector<size_t>& cuts = partition.cuts.at(model);
  const size_t in = k == 0 ? 0 : cuts.at(k - 1);
  const size_t out = k == cuts.size() ? problem.nodes.at(model) : cuts.at(k);
  return {model, in + 1, out};
}

double block_similarity(const PartitionProblem& problem, const Block& block, const Block& anchor) {
  const auto position = [&](size_t model, size_t p) {
    size_t start = 0;
    for (size_t i = 0; i < model; ++i) start += problem.nodes[i] + 1;
    return start + p;
  };
  const size_t b = position(block.model, 0), a = position(anchor.model, 0);
  return problem.similarity(b + block.first - 1, a + anchor.first - 1) +
         problem.similarity(b + block.last, a + anchor.last);
}

double evaluate(const PartitionProblem& problem, const Partition& partition) {
  if (partition.cuts.size() != problem.nodes.size() || partition.anchors.size() != problem.sets) {
    fail(ErrorKind::kUsage, "partition: cuts of ", partition.cuts.size(), " networks and ",
         partition.anchors.size(), " anchors, expected ", problem.nodes.size(), " and ",
         problem.sets);
  }
  for (size_t i = 0; i < problem.nodes.size(); ++i) {
    if (partition.cuts[i].size() + 1 != problem.sets) {
      fail(ErrorKind::kUsage, "partition: ", name_of(problem, i), " has ", partition.cuts[i].size(),
           " cuts, expected ", problem.sets - 1);
    }
    const size_t cap =
        block_cap(problem.nodes[i], problem.sets, problem.epsilon, problem.size_bound);
    for (size_t k = 0; k < problem.sets; ++k) {
      const Block b = block_of(problem, partition, i, k);
      if (b.last < b.first || b.last > problem.nodes[i] || b.last - b.first + 1 > cap) {
        fail(ErrorKind::kUsage, "partition: block ", k + 1, " of ", name_of(problem, i),
             " is nodes ", b.first, " to ", b.last, ", expected 1 to ", cap, " of its ",
             problem.nodes[i], " nodes");
      }
    }
  }
  std::vector<size_t> start(problem.nodes.size(), 0);
  for (size_t i = 1; i < start.size(); ++i) start[i] = start[i - 1] + problem.nodes[i - 1] + 1;
  double total = 0;
  for (size_t k = 0; k < problem.sets; ++k) {
    const Block& a = partition.anchors[k];
    if (a.model >= problem.nodes.size() || block_of(problem, partition, a.model, k) != a) {
      fail(ErrorKind::kUsage, "partition: the anchor of set ", k + 1, " is no block of the set");
    }
    for (size_t i = 0; i < problem.nodes.size(); ++i) {
      const Block b = block_of(problem, partition, i, k);
      total += problem.similarity(start[i] + b.first - 1, start[a.model] + a.first - 1) +
               problem.similarity(start[i] + b.last, start[a.model] + a.last);
    }
  }
  return total;
}

}  // namespace kintsugi::solvers
