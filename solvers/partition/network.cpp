#include "kintsugi/solvers/partition/network.h"

#include <algorithm>

namespace kintsugi::solvers::partition {

namespace {

std::vector<char> marked(const std::vector<CutPoint>& points, size_t model, size_t positions) {
  std::vector<char> marks(positions, 0);
  for (const CutPoint& c : points) {
    if (c.model == model) marks[c.at] = 1;
  }
  return marks;
}

}  // namespace

std::string name_of(const PartitionProblem& problem, size_t model) {
  if (model < problem.names.size()) return "'" + problem.names[model] + "'";
  return "network " + std::to_string(model);
}

bool Network::has_partition() const {
  for (size_t b = 0; b <= blocks; ++b) {
    if (low[b] > high[b]) return false;
  }
  return true;
}

Network network_of(const PartitionProblem& problem, size_t model) {
  const size_t nodes = problem.nodes[model];
  Network n;
  n.blocks = problem.blocks.empty() ? problem.sets : problem.blocks[model];
  const auto must = marked(problem.must_cut, model, nodes + 1);
  const auto never = marked(problem.must_not_cut, model, nodes + 1);
  double size = 0;
  for (size_t p = 0; p <= nodes; ++p) {
    if (!never[p]) {
      n.position.push_back(p);
      n.before.push_back(size);
    }
    if (p < nodes) size += problem.sizes.empty() ? 1 : problem.sizes[model][p];
  }
  n.cap = block_cap(size, n.blocks, problem.epsilon, problem.size_bound);

  const size_t last = n.last();
  n.first_start.assign(last + 1, 0);
  n.last_end.assign(last + 1, 0);
  size_t wall = 0;  // the last point that must be cut, before e
  for (size_t e = 0, s = 0; e <= last; ++e) {
    s = std::max(s, wall);
    while (s < e && n.before[e] - n.before[s] > n.cap) ++s;
    n.first_start[e] = s;
    if (must[n.position[e]]) wall = e;
  }
  for (size_t s = 0, e = 0; s <= last; ++s) {
    e = std::max(e, s);
    while (e < last && n.first_start[e + 1] <= s) ++e;
    n.last_end[s] = e;
  }

  n.low.assign(n.blocks + 1, last);
  n.high.assign(n.blocks + 1, 0);
  for (size_t b = 1; b <= n.blocks; ++b) {
    const size_t from = n.high[b - 1];
    n.high[b] = n.last_end[from];
  }
  for (size_t b = n.blocks; b > 0; --b) n.low[b - 1] = n.first_start[n.low[b]];
  for (size_t b = 0; b <= n.blocks; ++b) {
    const size_t behind = n.blocks - b;
    n.low[b] = std::max(n.low[b], b);
    n.high[b] = last >= behind ? std::min(n.high[b], last - behind) : 0;
  }
  // A node that fits no block leaves a gap that the windows do not see.
  for (size_t e = 1; e <= last; ++e) {
    if (n.first_start[e] == e) n.low[0] = 1;
  }
  return n;
}

double least_cap(const Network& network, const PartitionProblem& problem, size_t model) {
  const size_t last = network.last();
  const auto must = marked(problem.must_cut, model, problem.nodes[model] + 1);
  constexpr double kNone = std::numeric_limits<double>::infinity();
  std::vector<double> worst(last + 1, kNone), next(last + 1);
  worst[0] = 0;
  for (size_t b = 0; b < network.blocks; ++b) {
    std::fill(next.begin(), next.end(), kNone);
    for (size_t e = 1; e <= last; ++e) {
      for (size_t s = e; s-- > 0;) {
        next[e] = std::min(next[e], std::max(worst[s], network.before[e] - network.before[s]));
        if (must[network.position[s]]) break;
      }
    }
    worst.swap(next);
  }
  return worst[last];
}

}  // namespace kintsugi::solvers::partition
