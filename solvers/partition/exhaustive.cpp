#include "kintsugi/engine/core/error.h"
#include "kintsugi/solvers/clock.h"
#include "kintsugi/solvers/partition/layout.h"

namespace kintsugi::solvers {

namespace partition {
namespace {

// All partitions of one network, by the rules' own words rather than the layout's windows.
void list_cuts(size_t nodes, size_t cap, size_t sets, Cuts& prefix, std::vector<Cuts>& out) {
  if (prefix.size() == sets + 1) {
    if (prefix.back() == nodes) out.push_back(prefix);
    return;
  }
  const size_t last = prefix.back();
  for (size_t size = 1; size <= cap && last + size <= nodes; ++size) {
    prefix.push_back(last + size);
    list_cuts(nodes, cap, sets, prefix, out);
    prefix.pop_back();
  }
}

}  // namespace
}  // namespace partition

PartitionResult exhaustive_partition(const PartitionProblem& problem) {
  using namespace partition;
  const Control unlimited;
  const Clock clock(unlimited);
  const Layout layout(problem);
  double cases = double(layout.models() * layout.sets());
  std::vector<std::vector<Cuts>> choices(layout.models());
  for (size_t i = 0; i < layout.models(); ++i) {
    Cuts prefix{0};
    list_cuts(problem.nodes[i], layout.cap(i), layout.sets(), prefix, choices[i]);
    cases *= double(choices[i].size());
  }
  if (cases > 1e8) {
    fail(ErrorKind::kUsage, "partition: ", cases, " cases are too many to try one by one");
  }
  PartitionResult result;
  double best = kNever;
  std::vector<size_t> digit(layout.models(), 0);
  std::vector<Cuts> cuts(layout.models()), best_cuts;
  std::vector<Anchor> anchors(layout.sets()), best_anchors;
  for (bool more = true; more;) {
    for (size_t i = 0; i < layout.models(); ++i) cuts[i] = choices[i][digit[i]];
    double value = 0;
    // Sets do not share blocks, so for given cuts each set's best anchor may be chosen alone.
    for (size_t k = 0; k < layout.sets(); ++k) value += layout.best_anchor(k, cuts, anchors[k]);
    ++result.nodes;
    if (value > best) {
      best = value;
      best_cuts = cuts;
      best_anchors = anchors;
    }
    more = false;
    for (size_t i = 0; i < layout.models() && !more; ++i) {
      more = ++digit[i] < choices[i].size();
      if (!more) digit[i] = 0;
    }
  }
  result.best = layout.finish(best_cuts, best_anchors);
  result.bound = result.best.objective;
  result.optimal = true;
  result.seconds = clock.seconds();
  return result;
}

}  // namespace kintsugi::solvers
