// Assemblies for an experiment: spread over what a partition allows, not only its best.
#pragma once

#include <vector>

#include "kintsugi/zoo/assemble.h"

namespace kintsugi::zoo {

struct SampledPlan {
  std::vector<size_t> chosen;  // of each set: the block's index
  PlanFile plan;
};

// `count` different assemblies that keep the rules and budgets: a random pool is cut into slices of
// like objective, and each slice gives assemblies of all sizes. Ascending by objective within what
// the seed drew. kUsage where there are not so many.
std::vector<SampledPlan> sample_plans(const PartitionFile& partition, size_t count,
                                      const ReassembleOptions& rules, uint64_t seed,
                                      const solvers::Control& control = {});

}  // namespace kintsugi::zoo
