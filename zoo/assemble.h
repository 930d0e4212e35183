// Putting blocks back together: choosing them under a budget, building the network of a plan, and
// fitting its stitches in closed form.
#pragma once

#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <stop_token>
#include <vector>

#include "kintsugi/nn/blocks/stitch.h"
#include "kintsugi/solvers/reassembly.h"
#include "kintsugi/zoo/datasets/dataset.h"
#include "kintsugi/zoo/dissect.h"
#include "kintsugi/zoo/files/latency_file.h"
#include "kintsugi/zoo/files/partition_file.h"
#include "kintsugi/zoo/files/plan_file.h"

namespace kintsugi::zoo {

struct ReassembleOptions {
  static constexpr int64_t kNone = std::numeric_limits<int64_t>::max();
  int64_t max_params = kNone;
  int64_t max_macs = kNone;
  int64_t max_bytes = kNone;             // of the network's own file: parameters and buffers in f32
  int64_t max_activation_bytes = kNone;  // the most that live at once, for one image
  double max_latency_ms = std::numeric_limits<double>::infinity();
  std::optional<LatencyFile> latency = {};  // measured on this machine; a latency budget needs it
  int64_t max_per_model = 0;  // 0: half of the blocks, rounded up
  int64_t max_sources = 0;    // checkpoints that give blocks; 0: any number
  bool grids_before_tokens = false;
  std::vector<std::string> licences = {};  // allowed, SPDX; empty: any
  std::vector<std::string> force = {};     // blocks that every plan holds: "NAME:FIRST-LAST"
  std::vector<std::string> forbid = {};    // that none holds: "NAME:FIRST-LAST", or all of "NAME"
  nn::StitchForm form = nn::StitchForm::kLinear;
  bool fresh_head = false;    // a new linear head instead of the last network's own
  int64_t classes = 0;        // 0: the zoo's
  solvers::ReassemblySolver solver = solvers::ReassemblySolver::kLabels;
  int64_t best = 1;           // so many plans, best first
  int64_t diversity = 1;
  bool activation = false;    // measure that cost though it has no budget
};

// The costs of one plan, in the order of `resources`.
struct Reassembly {
  solvers::ReassemblyResult result;    // status, bound, gap, reason
  std::vector<std::string> resources;  // "params", "macs", "bytes", ...
  std::vector<PlanFile> plans;         // best first; empty where infeasible
};
// Stem, blocks, stitches and head count; blocks that are neighbours at home need no stitch. Models
// are rebuilt shape-only from the catalog.
Reassembly reassemble(const PartitionFile& partition, const ReassembleOptions& options,
                      const solvers::Control& control = {});

struct ReassemblyFront {
  solvers::ReassemblyFront result;
  std::vector<std::string> resources;
  std::vector<PlanFile> plans;  // one for each assembly, in its order
};
// All plans within the budgets that none beats in the objective and in the named costs.
ReassemblyFront reassemble_front(const PartitionFile& partition, const ReassembleOptions& options,
                                 const std::vector<std::string>& costs,
                                 const solvers::Control& control = {});

// The plan of the greatest NASWOT as its blocks have it at home, per image; `kernels` as of
// block_kernels(). One plan, by the solver that proves it.
Reassembly reassemble_naswot(const PartitionFile& partition, const ReassembleOptions& options,
                             std::vector<std::vector<solvers::Matrix>> kernels,
                             const solvers::Control& control = {});

// The network of a plan with shape-only weights; its name is "reassembled".
std::shared_ptr<nn::Network> build_plan(const PlanFile& plan);
// The same with the weights of its sources (checked against sha256) or, where the plan has weights of
// its own, with those. What is fresh (stitches, head, stem) is initialised from `seed`.
LoadedNetwork load_plan(const PlanFile& plan, uint64_t seed = 0);

// Of each stitch of a plan's network the block of the plan behind it; neighbours have none between.
std::vector<size_t> stitched_blocks(const PlanFile& plan);
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
