#include <algorithm>
#include <cmath>

#include "kintsugi/engine/core/error.h"
#include "kintsugi/solvers/clock.h"
#include "kintsugi/solvers/partition/layout.h"

namespace kintsugi::solvers {

namespace partition {
namespace {

// DeRy's inner step: for each pair of neighbouring blocks, one node across the border, forwards or
// backwards, if that brings the network closer to the anchors. True if anything moved.
bool swap_nodes(const Layout& layout, size_t model, std::span<const Anchor> anchors, Cuts& cuts) {
  const Network& n = layout.network(model);
  std::vector<size_t> sets;  // that have one of its blocks
  for (size_t k = 0; k + 1 < cuts.size(); ++k) {
    if (cuts[k] < cuts[k + 1]) sets.push_back(k);
  }
  bool moved = false;
  for (size_t b = 1; b < sets.size(); ++b) {
    const Anchor &left = anchors[sets[b - 1]], &right = anchors[sets[b]];
    const size_t begin = cuts[sets[b - 1]], border = cuts[sets[b]], end = cuts[sets[b] + 1];
    const auto value = [&](size_t c) {
      return layout.similarity(model, c, left.model, left.out) +
             layout.similarity(model, c, right.model, right.in);
    };
    size_t best = border;
    for (const size_t c : {border - 1, border + 1}) {
      const bool fits =
          c > begin && c < end && n.first_start[c] <= begin && n.first_start[end] <= c;
      if (fits && value(c) > value(best)) best = c;
    }
    moved |= best != border;
    for (size_t k = sets[b - 1] + 1; k <= sets[b]; ++k) cuts[k] = best;
  }
  return moved;
}

double swap_from_random(const Layout& layout, std::mt19937_64& random, std::vector<Cuts>& best_cuts,
                        std::vector<Anchor>& best_anchors) {
  std::vector<Cuts> cuts;
  for (size_t i = 0; i < layout.models(); ++i) cuts.push_back(layout.random_cuts(i, random));
  std::vector<Anchor> anchors;
  double best = kNever;
  // DeRy's patience: so many rounds without a better total end a trial.
  constexpr size_t kPatience = 20;
  for (size_t patience = kPatience; patience > 0; --patience) {
    const double value = layout.best_anchors(cuts, anchors);
    if (value == kNever) return best;
    if (value > best + 1e-12) {
      best = value;
      best_cuts = cuts;
      best_anchors = anchors;
      patience = kPatience;
    }
    bool moved = false;
    for (size_t i = 0; i < layout.models(); ++i) moved |= swap_nodes(layout, i, anchors, cuts[i]);
    if (!moved) break;
  }
  return best;
}

template <class Start>
PartitionResult best_of(const PartitionProblem& problem, size_t restarts, uint64_t seed,
                        const Control& control, const Start& start) {
  if (restarts == 0) fail(ErrorKind::kUsage, "partition: 0 restarts, expected at least 1");
  const Layout layout(problem);
  Clock clock(control);
  std::mt19937_64 random(seed);
  PartitionResult result;
  std::vector<Cuts> cuts, best_cuts;
  std::vector<Anchor> anchors, best_anchors;
  double best = kNever;
  for (size_t r = 0; r < restarts && (r == 0 || !clock.over()); ++r) {
    if (const double value = start(layout, random, cuts, anchors); value > best) {
      best = value;
      best_cuts = cuts;
      best_anchors = anchors;
    }
    ++result.nodes;
    clock.report(double(r + 1) / double(restarts));
  }
  if (best == kNever) {
    fail(ErrorKind::kInfeasible, "partition: no start of the heuristic obeyed the rules");
  }
  result.best = layout.finish(best_cuts, best_anchors);
  result.bound = result.gap = std::numeric_limits<double>::infinity();
  result.seconds = clock.seconds();
  return result;
}

}  // namespace
}  // namespace partition

PartitionResult lloyd_partition(const PartitionProblem& problem, size_t restarts, uint64_t seed,
                                const Control& control) {
  using namespace partition;
  return best_of(problem, restarts, seed, control,
                 [](const Layout& layout, std::mt19937_64& random, std::vector<Cuts>& cuts,
                    std::vector<Anchor>& anchors) {
                   if (!random_anchors(layout, random, anchors)) return kNever;
                   return lloyd(layout, anchors, cuts);
                 });
}

PartitionResult swap_partition(const PartitionProblem& problem, size_t restarts, uint64_t seed,
                               const Control& control) {
  using namespace partition;
  return best_of(
      problem, restarts, seed, control,
      [](const Layout& layout, std::mt19937_64& random, std::vector<Cuts>& cuts,
         std::vector<Anchor>& anchors) { return swap_from_random(layout, random, cuts, anchors); });
}

}  // namespace kintsugi::solvers
