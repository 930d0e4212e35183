// Putting blocks back together: choosing them under a budget, building the network of a plan, and
// fitting its stitches in closed form.
#pragma once

#include <functional>
#include <limits>
#include <memory>
#include <stop_token>
#include <vector>

#include "kintsugi/nn/blocks/stitch.h"
#include "kintsugi/solvers/reassembly.h"
#include "kintsugi/zoo/datasets/dataset.h"
#include "kintsugi/zoo/dissect.h"
#include "kintsugi/zoo/files/partition_file.h"
#include "kintsugi/zoo/files/plan_file.h"

namespace kintsugi::zoo {

struct ReassembleOptions {
  int64_t max_params = std::numeric_limits<int64_t>::max();
  int64_t max_macs = std::numeric_limits<int64_t>::max();
  int64_t max_per_model = 0;  // 0: half of the blocks, rounded up
  bool grids_before_tokens = false;
  nn::StitchForm form = nn::StitchForm::kLinear;
  bool fresh_head = false;    // a new linear head instead of the last network's own
  int64_t classes = 0;        // 0: the zoo's
  solvers::ReassemblySolver solver = solvers::ReassemblySolver::kLabels;
  int64_t best = 1;           // so many plans, best first
  int64_t diversity = 1;
};

struct Reassembly {
  solvers::ReassemblyResult result;  // status, bound, gap, reason
  std::vector<PlanFile> plans;       // best first; empty where infeasible
};
// Stem, blocks, stitches and head count. Models are rebuilt shape-only from the catalog.
Reassembly reassemble(const PartitionFile& partition, const ReassembleOptions& options,
                      const solvers::Control& control = {});

// The network of a plan with shape-only weights; its name is "reassembled".
std::shared_ptr<nn::Network> build_plan(const PlanFile& plan);
// The same with the weights of its sources (checked against sha256) or, where the plan has weights of
// its own, with those. What is fresh (stitches, head, stem) is initialised from `seed`.
LoadedNetwork load_plan(const PlanFile& plan, uint64_t seed = 0);

// The indices of the network's blocks that are stitches.
std::vector<size_t> stitch_indices(const nn::Network& network);
// Freezes all but stitches, and the head and stem where `train_head`: DeRy's FREEZE.
void freeze_sources(nn::Network& network, bool train_head = true);

struct FitResult {
  double r2;  // of the linear fit, before any activation
};
// Fits every stitch by least squares, from left to right: its input is what the reassembled network
// really gives there, its target what the next block saw at home on the same images.
std::vector<FitResult> fit_stitches(nn::Network& network, const PlanFile& plan,
                                    std::shared_ptr<const Dataset> data, int64_t images,
                                    uint64_t seed = 0,
                                    const std::function<void(double)>& progress = {},
                                    std::stop_token stop = {});

}  // namespace kintsugi::zoo
