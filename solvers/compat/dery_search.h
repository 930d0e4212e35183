// The random search of DeRy's published code, faults included, to stand beside the exact
// reassembly (described, not copied: that code carries no licence).
//
//   - A trial is one pass over all blocks in random order. The first that find their stage and set
//     free fill the selection, whatever they cost; each later one takes the place of the block of
//     its stage, and the network is built, counted and scored.
//   - A block whose set is taken by another stage ought to push that other block out; the code clears
//     its own stage's place instead, so the selection may hold two blocks of one set. What is marked
//     as taken stays so marked when the block is turned down.
//   - Grids come before tokens, and since the last grid is looked for from stage 0, a network cannot
//     begin with tokens.
//   - Budgets have lower ends too, and all are strict. They are asked only once a network is built.
//   - The stride of every stitch is drawn anew at each building, 2 with probability 0.1: what is
//     written down at the end is not the network that was scored.
//
// Where the description is silent: every trial begins with nothing selected, and a block that would
// put a grid after tokens is not selected.
#pragma once

#include <functional>
#include <limits>
#include <optional>
#include <vector>

#include "kintsugi/solvers/control.h"
#include "kintsugi/solvers/partition.h"

namespace kintsugi::solvers::compat {

struct DerySearchBlock {
  Block block;
  size_t stage = 0;
  size_t set = 0;
  bool tokens = false;  // of a transformer
};

struct DeryCandidate {
  std::vector<size_t> blocks;   // by stage: indices of the problem's blocks
  std::vector<size_t> strides;  // of the stitches, one fewer
};

struct DeryCost {
  double params = 0, macs = 0;
};

struct DerySearchProblem {
  size_t stages = 4;  // and sets
  std::vector<DerySearchBlock> blocks;
  DeryCost least = {}, most = {std::numeric_limits<double>::infinity(),
                               std::numeric_limits<double>::infinity()};  // both ends excluded
  // A network's cost, none where it cannot be built; and its score, asked within budgets only.
  std::function<std::optional<DeryCost>(const DeryCandidate&)> cost;
  std::function<double(const DeryCandidate&)> score;
};

struct DerySearchResult {
  std::optional<DeryCandidate> scored;  // the best; none: nothing fitted (the code then crashes)
  DeryCandidate saved;                  // the same blocks with strides drawn again
  double score = 0;
  size_t built = 0, in_budget = 0;
  double seconds = 0;
  // The rules that it breaks.
  size_t shared_sets = 0;     // sets that give more than one block
  size_t overlaps = 0;        // pairs of blocks of one network that share nodes
  size_t strides_changed = 0;  // stitches saved with another stride than was scored
};

// kUsage where a stage has no block at all.
DerySearchResult dery_search(const DerySearchProblem& problem, size_t trials = 10,
                             uint64_t seed = 0, const Control& control = {});

}  // namespace kintsugi::solvers::compat
