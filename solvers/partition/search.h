// The solvers behind exact_partition; each takes a validated problem.
#pragma once

#include "kintsugi/solvers/partition.h"

namespace kintsugi::solvers::partition {

PartitionResult solve_tied(const PartitionProblem& problem, const PartitionOptions& options,
                           const Control& control);
PartitionResult solve_free(const PartitionProblem& problem, const PartitionOptions& options,
                           const Control& control);
PartitionResult solve_milp(const PartitionProblem& problem, const Control& control);
PartitionResult solve_exhaustively(const PartitionProblem& problem, const Control& control);

}  // namespace kintsugi::solvers::partition
