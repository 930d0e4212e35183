// The solvers behind exact_partition; each takes a validated problem.
#pragma once

#include <algorithm>
#include <cmath>

#include "kintsugi/solvers/clock.h"
#include "kintsugi/solvers/partition.h"

namespace kintsugi::solvers::partition {

PartitionResult solve_tied(const PartitionProblem& problem, const PartitionOptions& options,
                           const Control& control);
PartitionResult solve_free(const PartitionProblem& problem, const PartitionOptions& options,
                           const Control& control);
PartitionResult solve_milp(const PartitionProblem& problem, const Control& control);
PartitionResult solve_exhaustively(const PartitionProblem& problem, const Control& control);

// What a search calls equal to its value: sums of a few hundred similarities are exact to 1e-13.
inline double tolerance(double value) {
  return 1e-10 * std::max(1.0, std::abs(value));
}
// The answer of a search that found `value`, which is the objective of `best` up to rounding, and
// proved that nothing exceeds `bound`.
PartitionResult concluded(Partition best, double value, double bound, uint64_t nodes, Clock& clock);
// There is no answer: none in time (kInterrupted) or none at all (kInfeasible).
[[noreturn]] void found_nothing(const Clock& clock);

}  // namespace kintsugi::solvers::partition
