#include "kintsugi/solvers/compat/dery_search.h"

#include <algorithm>
#include <numeric>
#include <random>

#include "kintsugi/engine/core/error.h"
#include "kintsugi/solvers/clock.h"

namespace kintsugi::solvers::compat {

namespace {

constexpr size_t kNone = size_t(-1);

class Reference {
 public:
  Reference(const DerySearchProblem& problem, uint64_t seed) : problem_(problem), random_(seed) {}

  DerySearchResult run(size_t trials, const Control& control) {
    Clock clock(control);
    std::vector<size_t> order(problem_.blocks.size());
    std::iota(order.begin(), order.end(), size_t{0});
    for (size_t t = 0; t < trials && !clock.over(); ++t) {
      selection_.assign(problem_.stages, kNone);
      set_taken_.assign(problem_.stages, false);
      for (size_t n = order.size(); n > 1; --n) std::swap(order[n - 1], order[below(n)]);
      for (const size_t b : order) {
        if (clock.over()) break;
        take(b);
      }
      clock.report(double(t + 1) / double(trials));
    }
    if (out_.scored) {
      out_.saved = {out_.scored->blocks, strides()};
      count_faults();
    }
    out_.seconds = clock.seconds();
    return out_;
  }

 private:
  size_t below(size_t n) {
    return size_t((static_cast<unsigned __int128>(random_()) * n) >> 64);
  }
  std::vector<size_t> strides() {
    std::vector<size_t> out(problem_.stages - 1);
    for (size_t& s : out) s = below(10) == 0 ? 2 : 1;
    return out;
  }
  static bool full(const std::vector<size_t>& selection) {
    return std::find(selection.begin(), selection.end(), kNone) == selection.end();
  }

  void take(size_t b) {
    const DerySearchBlock& block = problem_.blocks[b];
    if (!full(selection_)) {
      if (selection_[block.stage] != kNone || set_taken_[block.set]) return;
      selection_[block.stage] = b;
      if (!valid(selection_)) {
        selection_[block.stage] = kNone;
        return;
      }
      set_taken_[block.set] = true;
      if (full(selection_)) consider(selection_);
      return;
    }
    std::vector<size_t> next = selection_;
    for (const size_t other : selection_) {
      // Meant to push `other` out of its own stage.
      if (problem_.blocks[other].set == block.set) next[block.stage] = kNone;
    }
    // Marked whether or not the block is kept.
    set_taken_[problem_.blocks[selection_[block.stage]].set] = false;
    set_taken_[block.set] = true;
    next[block.stage] = b;
    if (consider(next)) selection_ = next;
  }

  bool valid(const std::vector<size_t>& selection) const {
    size_t last_grid = 0, first_tokens = kNone;
    for (size_t k = 0; k < selection.size(); ++k) {
      if (selection[k] == kNone) continue;
      if (problem_.blocks[selection[k]].tokens) {
        first_tokens = std::min(first_tokens, k);
      } else {
        last_grid = k;
      }
    }
    return last_grid < first_tokens;
  }

  bool consider(const std::vector<size_t>& selection) {
    if (!valid(selection)) return false;
    const DeryCandidate candidate{selection, strides()};
    ++out_.built;
    const std::optional<DeryCost> cost = problem_.cost(candidate);
    if (!cost || !(cost->params > problem_.least.params && cost->params < problem_.most.params &&
                   cost->macs > problem_.least.macs && cost->macs < problem_.most.macs)) {
      return false;
    }
    ++out_.in_budget;
    const double score = problem_.score(candidate);
    if (out_.scored && !(score > out_.score)) return false;
    out_.score = score;
    out_.scored = candidate;
    return true;
  }

  void count_faults() {
    const auto& chosen = out_.scored->blocks;
    std::vector<size_t> uses(problem_.stages, 0);
    for (const size_t b : chosen) ++uses[problem_.blocks[b].set];
    out_.shared_sets = size_t(std::count_if(uses.begin(), uses.end(), [](size_t n) { return n > 1; }));
    for (size_t i = 0; i < chosen.size(); ++i) {
      const Block& a = problem_.blocks[chosen[i]].block;
      for (size_t j = 0; j < i; ++j) {
        const Block& b = problem_.blocks[chosen[j]].block;
        out_.overlaps += a.model == b.model && a.first <= b.last && b.first <= a.last;
      }
    }
    for (size_t k = 0; k + 1 < problem_.stages; ++k) {
      out_.strides_changed += out_.scored->strides[k] != out_.saved.strides[k];
    }
  }

  const DerySearchProblem& problem_;
  std::mt19937_64 random_;
  std::vector<size_t> selection_;
  std::vector<bool> set_taken_;
  DerySearchResult out_;
};

}  // namespace

DerySearchResult dery_search(const DerySearchProblem& problem, size_t trials, uint64_t seed,
                             const Control& control) {
  if (trials == 0) fail(ErrorKind::kUsage, "reassembly: 0 trials, expected at least 1");
  if (problem.stages == 0) fail(ErrorKind::kUsage, "reassembly: 0 stages, expected at least 1");
  std::vector<char> seen(problem.stages, 0);
  for (const DerySearchBlock& b : problem.blocks) {
    if (b.stage >= problem.stages || b.set >= problem.stages) {
      fail(ErrorKind::kUsage, "reassembly: a block of stage ", b.stage + 1, " in set ", b.set + 1,
           ", but there are ", problem.stages);
    }
    seen[b.stage] = 1;
  }
  for (size_t k = 0; k < problem.stages; ++k) {
    if (!seen[k]) fail(ErrorKind::kUsage, "reassembly: stage ", k + 1, " has no blocks");
  }
  return Reference(problem, seed).run(trials, control);
}

}  // namespace kintsugi::solvers::compat
