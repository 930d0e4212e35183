// NASWOT (Mellor et al. 2021, "Neural Architecture Search without Training"; DeRy's proxy):
// log |det K| / n over a batch of n images, K summed over all activations (solvers/naswot.h).
#pragma once

#include <functional>
#include <stop_token>

#include "kintsugi/nn/network.h"
#include "kintsugi/solvers/matrix.h"
#include "kintsugi/zoo/datasets/dataset.h"
#include "kintsugi/zoo/files/partition_file.h"

namespace kintsugi::zoo {

// images (N,C,H,W), N >= 2, in evaluation mode, or, as DeRy's code has it, in training mode; running
// statistics are put back. -infinity where two images have equal codes.
double naswot(nn::Network& network, const Tensor& images, bool training = false);

struct BlockKernelOptions {
  int64_t images = 64;      // n; the same number of every class
  bool fresh_head = false;  // heads are not the networks' own
  uint64_t seed = 0;
};
// K of every block of a partition, [set][block], each (n, n), from one run of each network on the
// same images: what a block's activations tell apart at home. A first block brings its network's
// stem, a last one its head. The sum over an assembly's blocks stands for the assembled network's K
// (solvers/naswot_choice.h); how well it ranks is measured in docs/calibration.md.
std::vector<std::vector<solvers::Matrix>> block_kernels(
    const PartitionFile& partition, const std::shared_ptr<const Dataset>& data,
    const BlockKernelOptions& options = {}, const std::function<void(double)>& progress = {},
    std::stop_token stop = {});

}  // namespace kintsugi::zoo
