// DeRy's random search over real networks, faults included (solvers/compat/dery_search.h counts
// them), to stand beside the exact reassembly. What it scores is built as the reference builds it:
//
//   - A fresh stem (7x7 stride 2, pooling), whatever the first block's own; a fresh head; stitches of
//     the dery form whose stride is drawn and not made to fit, so that blocks see other grids than at
//     home. What cannot be built is no candidate.
//   - NASWOT in training mode, the mean of five batches of 32: the first images of the training data
//     as the files have them, be they of one class. Its hooks stay: batch t is counted t times.
//
// Otherwise than there: images are not cropped at random, no path is dropped, and codes are read at
// activations alone (the reference hooks linear layers and attention too).
#pragma once

#include "kintsugi/solvers/compat/dery_search.h"
#include "kintsugi/zoo/datasets/dataset.h"
#include "kintsugi/zoo/files/partition_file.h"
#include "kintsugi/zoo/files/plan_file.h"

namespace kintsugi::zoo {

struct DerySearchOptions {
  int64_t trials = 10;
  solvers::compat::DeryCost least = {}, most = {std::numeric_limits<double>::infinity(),
                                                std::numeric_limits<double>::infinity()};
  int64_t classes = 0;  // 0: the zoo's
  uint64_t seed = 0;
};

struct DeryReassembly {
  solvers::compat::DerySearchResult result;
  solvers::compat::DeryCost cost;  // of the network that was scored
  // Its blocks, with stitches that fit: the reference's strides have no place in a plan.
  PlanFile plan;
};

// kInfeasible where no network that was built is within the budgets: there the reference crashes.
DeryReassembly reassemble_dery(const PartitionFile& partition,
                               const std::shared_ptr<const Dataset>& data,
                               const DerySearchOptions& options,
                               const solvers::Control& control = {});

}  // namespace kintsugi::zoo
