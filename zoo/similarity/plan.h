// What a measurement of similarity will do, from its options and shapes alone. Internal to the
// room.
#pragma once

#include <utility>
#include <vector>

#include "kintsugi/solvers/similarity.h"
#include "kintsugi/zoo/similarity.h"

namespace kintsugi::zoo::similarity {

bool is_cka(Metric metric);
solvers::CkaOptions cka_options(Metric metric);
solvers::SubspaceOptions subspace_options(const SimilarityOptions& options);
const char* name_of(solvers::Projection::Method method);

struct Plan {
  int64_t images = 0;                                // that count
  int64_t batch_size = 0;                            // of a CKA; all of them for the other metrics
  std::vector<std::pair<int64_t, int64_t>> batches;  // begin, end
  bool dery = false;
};
// kUsage for options that do not go together, and for too few images.
Plan plan_of(int64_t available, const SimilarityOptions& options);

// The positions of a network that are measured.
std::vector<int64_t> all_positions(const ZooMember& member, const Plan& plan);
// Positions of each network that pairs of positions of the zoo name, in rising order.
std::vector<std::vector<int64_t>> named(const std::vector<std::pair<int64_t, int64_t>>& pairs,
                                        const std::vector<ZooMember>& members);

}  // namespace kintsugi::zoo::similarity
