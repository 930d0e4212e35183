#include <algorithm>
#include <cmath>
#include <numeric>

#include "kintsugi/engine/core/error.h"
#include "kintsugi/solvers/partition/network.h"

namespace kintsugi::solvers {

using partition::name_of;
using partition::Network;
using partition::network_of;

namespace {

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

void check_sizes(const PartitionProblem& problem) {
  if (problem.sizes.empty()) return;
  if (problem.sizes.size() != problem.nodes.size()) {
    fail(ErrorKind::kUsage, "partition: sizes of ", problem.sizes.size(), " networks, expected ",
         problem.nodes.size());
  }
  for (size_t m = 0; m < problem.nodes.size(); ++m) {
    if (problem.sizes[m].size() != problem.nodes[m]) {
      fail(ErrorKind::kUsage, "partition: ", name_of(problem, m), " has ", problem.sizes[m].size(),
           " sizes, expected one for each of its ", problem.nodes[m], " nodes");
    }
    for (const double size : problem.sizes[m]) {
      // Beyond 2^53 sums are no longer exact.
      if (!(size >= 0 && size < 0x1p53 && size == std::floor(size))) {
        fail(ErrorKind::kUsage, "partition: a node of ", name_of(problem, m), " has size ", size,
             ", expected a whole number, 0 or more");
      }
    }
  }
}

void check_blocks(const PartitionProblem& problem) {
  if (!problem.blocks.empty() && problem.blocks.size() != problem.nodes.size()) {
    fail(ErrorKind::kUsage, "partition: block counts of ", problem.blocks.size(),
         " networks, expected ", problem.nodes.size());
  }
  size_t all = 0;
  for (size_t m = 0; m < problem.nodes.size(); ++m) {
    const size_t blocks = problem.blocks.empty() ? problem.sets : problem.blocks[m];
    if (blocks < 1 || blocks > problem.sets) {
      fail(ErrorKind::kUsage, "partition: ", blocks, " blocks of ", name_of(problem, m),
           ", expected 1 to k = ", problem.sets);
    }
    if (problem.nodes[m] < blocks) {
      fail(ErrorKind::kUsage, "partition: k is ", blocks, ", but ", name_of(problem, m),
           " has only ", problem.nodes[m], " nodes; give it fewer blocks, or leave it out");
    }
    all += blocks;
  }
  if (all < problem.sets) {
    fail(ErrorKind::kInfeasible, "partition: k is ", problem.sets, ", but all networks have only ",
         all, " blocks: a set would be empty");
  }
}

void check_cuts(const PartitionProblem& problem) {
  const auto places = [&](const std::vector<CutPoint>& points) {
    for (const CutPoint& c : points) {
      if (c.model >= problem.nodes.size()) {
        fail(ErrorKind::kUsage, "partition: a cut in network ", c.model, " of ",
             problem.nodes.size());
      }
      if (c.at < 1 || c.at >= problem.nodes[c.model]) {
        fail(ErrorKind::kUsage, "partition: a cut after node ", c.at, " of ",
             name_of(problem, c.model), ", expected 1 to ", problem.nodes[c.model] - 1);
      }
    }
  };
  places(problem.must_cut);
  places(problem.must_not_cut);
  for (const CutPoint& c : problem.must_cut) {
    if (std::find(problem.must_not_cut.begin(), problem.must_not_cut.end(), c) !=
        problem.must_not_cut.end()) {
      fail(ErrorKind::kUsage, "partition: ", name_of(problem, c.model),
           " both must and must not be cut after node ", c.at);
    }
  }
}

void check_anchors(const PartitionProblem& problem) {
  const auto known = [&](std::vector<size_t> models, const char* what) {
    std::sort(models.begin(), models.end());
    for (size_t i = 0; i < models.size(); ++i) {
      if (models[i] >= problem.nodes.size()) {
        fail(ErrorKind::kUsage, "partition: ", what, " network ", models[i], " of ",
             problem.nodes.size());
      }
      if (i > 0 && models[i] == models[i - 1]) {
        fail(ErrorKind::kUsage, "partition: ", what, " ", name_of(problem, models[i]), " twice");
      }
    }
  };
  known(problem.anchors_from, "anchors from");
  known(problem.forced, "forced");
  if (problem.forced.size() > problem.sets) {
    fail(ErrorKind::kUsage, "partition: ", problem.forced.size(),
         " networks are to give an anchor, but there are only ", problem.sets, " sets");
  }
  if (problem.forced.size() > 16) {
    fail(ErrorKind::kUsage, "partition: ", problem.forced.size(),
         " networks are to give an anchor, expected at most 16");
  }
  for (const size_t m : problem.forced) {
    if (!problem.anchors_from.empty() &&
        std::find(problem.anchors_from.begin(), problem.anchors_from.end(), m) ==
            problem.anchors_from.end()) {
      fail(ErrorKind::kUsage, "partition: ", name_of(problem, m),
           " is to give an anchor, but is not among the networks that may");
    }
  }
}

// The least epsilon, to four digits, that allows a block of this size.
double least_epsilon(double size, double cap, size_t blocks, SizeBound bound) {
  if (size == 0) return 0;
  const double least = bound == SizeBound::kCeil ? cap - 1 : cap;
  double epsilon = std::max(0.0, std::floor((least * double(blocks) / size - 1) * 1e4) / 1e4);
  while (block_cap(size, blocks, epsilon, bound) < cap) epsilon += 1e-4;
  return epsilon;
}

void check_room(const PartitionProblem& problem) {
  std::vector<Network> networks;
  for (size_t m = 0; m < problem.nodes.size(); ++m) {
    networks.push_back(network_of(problem, m));
    const Network& n = networks.back();
    const auto must = size_t(std::count_if(problem.must_cut.begin(), problem.must_cut.end(),
                                           [&](const CutPoint& c) { return c.model == m; }));
    if (must + 1 > n.blocks) {
      fail(ErrorKind::kUsage, "partition: ", name_of(problem, m), " must be cut in ", must,
           " places, but has only ", n.blocks, " blocks");
    }
    if (n.last() < n.blocks) {
      fail(ErrorKind::kUsage, "partition: ", name_of(problem, m), " may be cut in only ",
           n.last() - 1, " places, too few for ", n.blocks, " blocks");
    }
  }
  for (size_t m = 0; m < networks.size(); ++m) {
    if (networks[m].has_partition()) continue;
    double needed = 0;  // what the worst network needs, so that one correction is enough
    for (size_t i = 0; i < networks.size(); ++i) {
      const Network& n = networks[i];
      needed = std::max(needed, least_epsilon(n.before.back(), least_cap(n, problem, i), n.blocks,
                                              problem.size_bound));
    }
    fail(ErrorKind::kInfeasible, "partition: epsilon ", problem.epsilon, " allows ",
         name_of(problem, m), " blocks of ", networks[m].cap,
         problem.sizes.empty() ? " nodes" : " in size", ", too few for its ",
         networks[m].before.back(), " in ", networks[m].blocks,
         " blocks; the smallest epsilon that would do for every network is ", needed);
  }
}

}  // namespace

double block_cap(double size, size_t blocks, double epsilon, SizeBound bound) {
  const double room = std::ceil((1 + epsilon) * size / double(blocks) - 1e-9);
  const double cap = bound == SizeBound::kStrict ? room - 1 : room;
  return std::clamp(cap, 0.0, size);
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
  check_sizes(problem);
  check_blocks(problem);
  check_cuts(problem);
  check_anchors(problem);
  check_room(problem);
}

std::vector<uint64_t> count_partitions(const PartitionProblem& problem) {
  std::vector<uint64_t> counts;
  for (size_t m = 0; m < problem.nodes.size(); ++m) {
    const Network network = network_of(problem, m);
    std::vector<uint64_t> ways(network.last() + 1, 0);
    ways[0] = 1;
    for (size_t b = 0; b < network.blocks; ++b) {
      std::vector<uint64_t> next(ways.size(), 0);
      for (size_t e = 1; e < ways.size(); ++e) {
        for (size_t s = network.first_start[e]; s < e; ++s) {
          if (__builtin_add_overflow(next[e], ways[s], &next[e])) next[e] = UINT64_MAX;
        }
      }
      ways = std::move(next);
    }
    counts.push_back(ways.back());
  }
  return counts;
}

Block block_of(const PartitionProblem& problem, const Partition& partition, size_t model,
               size_t b) {
  const std::vector<size_t>& cuts = partition.cuts.at(model);
  const size_t in = b == 0 ? 0 : cuts.at(b - 1);
  const size_t out = b == cuts.size() ? problem.nodes.at(model) : cuts.at(b);
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

}  // namespace kintsugi::solvers
