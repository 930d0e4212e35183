// Where one network may be cut, and into which blocks, under the rules of a problem.
#pragma once

#include "kintsugi/solvers/partition.h"

namespace kintsugi::solvers::partition {

std::string name_of(const PartitionProblem& problem, size_t model);

// Points are the positions that are not forbidden to cut, 0 and L among them. Which ends a block may
// have depends on its start alone, and they have no gaps: so do the points that b blocks can reach.
struct Network {
  size_t blocks = 0;
  double cap = 0;
  std::vector<size_t> position;              // of each point
  std::vector<size_t> first_start;           // of a block that ends at a point; it itself: none fits
  std::vector<size_t> last_end;              // of a block that starts there
  std::vector<size_t> low, high;             // [b]: points where block b may end, 0 <= b <= blocks
  std::vector<double> before;                // [point]: size of all nodes before it
  size_t last() const { return position.size() - 1; }
  bool has_partition() const;
};

Network network_of(const PartitionProblem& problem, size_t model);

// The size of the greatest block of the network's most even partition.
double least_cap(const Network& network, const PartitionProblem& problem, size_t model);

}  // namespace kintsugi::solvers::partition
