// Every partition with every choice of anchors, in the problem's own words: nothing of the layout or
// of its windows.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "kintsugi/engine/core/error.h"
#include "kintsugi/solvers/clock.h"
#include "kintsugi/solvers/partition/search.h"

namespace kintsugi::solvers::partition {

namespace {

constexpr double kNever = -std::numeric_limits<double>::infinity();

// One network's cuts and, tied to stages, the sets of its blocks.
struct Way {
  std::vector<size_t> cuts, sets;
};

bool holds(const std::vector<CutPoint>& points, size_t model, size_t first, size_t last) {
  return std::any_of(points.begin(), points.end(), [&](const CutPoint& c) {
    return c.model == model && c.at >= first && c.at <= last;
  });
}

class Oracle {
 public:
  explicit Oracle(const PartitionProblem& problem) : problem_(problem), ways_(models()) {}

  PartitionResult run(const Control& control) {
    Clock clock(control);
    double cases = 1;
    for (size_t m = 0; m < models(); ++m) {
      Way way;
      list_ways(m, 0, way);
      cases *= double(ways_[m].size());
    }
    if (problem_.free_sets) {
      // Choices of K anchors among all blocks.
      double blocks = 0;
      for (size_t m = 0; m < models(); ++m) blocks += double(blocks_of(m));
      for (size_t k = 0; k < problem_.sets; ++k) cases *= (blocks - double(k)) / double(k + 1);
    } else {
      cases *= problem_.forced.empty() ? double(models() * problem_.sets)
                                       : std::pow(double(models()), double(problem_.sets));
    }
    if (cases > 1e8) {
      fail(ErrorKind::kUsage, "partition: ", cases, " cases are too many to try one by one");
    }
    std::vector<size_t> digit(models(), 0);
    for (bool more = true; more && !clock.over();) {
      current_.cuts.clear();
      current_.set_of.clear();
      for (size_t m = 0; m < models(); ++m) {
        current_.cuts.push_back(ways_[m][digit[m]].cuts);
        current_.set_of.push_back(ways_[m][digit[m]].sets);
      }
      ++nodes_;
      problem_.free_sets ? try_free() : try_tied();
      more = false;
      for (size_t m = 0; m < models() && !more; ++m) {
        more = ++digit[m] < ways_[m].size();
        if (!more) digit[m] = 0;
      }
    }
    if (value_ == kNever && clock.over()) {
      fail(ErrorKind::kInterrupted, "partition: stopped before a partition was found");
    }
    if (value_ == kNever) {
      fail(ErrorKind::kInfeasible, "partition: no choice of anchors obeys the rules");
    }
    PartitionResult result;
    result.best = best_;
    result.best.objective = evaluate(problem_, best_);
    result.optimal = !clock.over();
    result.bound = result.optimal ? result.best.objective : 2.0 * double(count_blocks());
    result.gap =
        (result.bound - result.best.objective) / std::max(1e-12, std::abs(result.best.objective));
    result.seconds = clock.seconds();
    result.nodes = nodes_;
    return result;
  }

 private:
  size_t models() const { return problem_.nodes.size(); }
  size_t blocks_of(size_t m) const {
    return problem_.blocks.empty() ? problem_.sets : problem_.blocks[m];
  }
  size_t count_blocks() const {
    size_t count = 0;
    for (size_t m = 0; m < models(); ++m) count += blocks_of(m);
    return count;
  }
  double size_of(size_t m, size_t first, size_t last) const {
    double sum = 0;
    for (size_t p = first; p <= last; ++p) sum += problem_.sizes.empty() ? 1 : problem_.sizes[m][p - 1];
    return sum;
  }

  void list_ways(size_t m, size_t from, Way& way) {
    const size_t nodes = problem_.nodes[m], left = blocks_of(m) - way.cuts.size();
    const double cap =
        block_cap(size_of(m, 1, nodes), blocks_of(m), problem_.epsilon, problem_.size_bound);
    if (left == 1) {
      if (from < nodes && size_of(m, from + 1, nodes) <= cap &&
          !holds(problem_.must_cut, m, from + 1, nodes - 1)) {
        list_sets(m, 0, way);
      }
      return;
    }
    for (size_t c = from + 1; c < nodes; ++c) {
      if (size_of(m, from + 1, c) > cap || holds(problem_.must_cut, m, from + 1, c - 1)) break;
      if (holds(problem_.must_not_cut, m, c, c)) continue;
      way.cuts.push_back(c);
      list_ways(m, c, way);
      way.cuts.pop_back();
    }
  }

  void list_sets(size_t m, size_t from, Way& way) {
    if (problem_.free_sets || way.sets.size() == blocks_of(m)) {
      ways_[m].push_back(way);
      return;
    }
    for (size_t k = from; k < problem_.sets; ++k) {
      way.sets.push_back(k);
      list_sets(m, k + 1, way);
      way.sets.pop_back();
    }
  }

  bool may_anchor(size_t m) const {
    const auto& from = problem_.anchors_from;
    return from.empty() || std::find(from.begin(), from.end(), m) != from.end();
  }
  bool forced_anchor(const std::vector<Block>& anchors) const {
    return std::all_of(problem_.forced.begin(), problem_.forced.end(), [&](size_t m) {
      return std::any_of(anchors.begin(), anchors.end(),
                         [&](const Block& a) { return a.model == m; });
    });
  }

  void offer(double value, const std::vector<Block>& anchors) {
    if (value <= value_) return;
    value_ = value;
    best_ = current_;
    best_.anchors = anchors;
  }

  void try_tied() {
    std::vector<std::vector<Block>> members(problem_.sets);
    for (size_t m = 0; m < models(); ++m) {
      for (size_t b = 0; b < blocks_of(m); ++b) {
        members[current_.set_of[m][b]].push_back(block_of(problem_, current_, m, b));
      }
    }
    std::vector<std::vector<std::pair<double, Block>>> options(problem_.sets);
    for (size_t k = 0; k < problem_.sets; ++k) {
      for (const Block& a : members[k]) {
        if (!may_anchor(a.model)) continue;
        double sum = 0;
        for (const Block& b : members[k]) sum += block_similarity(problem_, b, a);
        options[k].push_back({sum, a});
      }
      if (options[k].empty()) return;
      // Sets share no blocks, so without networks that must give one each set's best will do.
      if (problem_.forced.empty()) {
        const auto greater = [](const auto& x, const auto& y) { return x.first < y.first; };
        options[k] = {*std::max_element(options[k].begin(), options[k].end(), greater)};
      }
    }
    std::vector<Block> anchors;
    const auto choose = [&](const auto& self, size_t k, double value) -> void {
      if (k == problem_.sets) {
        if (forced_anchor(anchors)) offer(value, anchors);
        return;
      }
      for (const auto& [sum, a] : options[k]) {
        anchors.push_back(a);
        self(self, k + 1, value + sum);
        anchors.pop_back();
      }
    };
    choose(choose, 0, 0);
  }

  void try_free() {
    std::vector<Block> all, anchors;
    for (size_t m = 0; m < models(); ++m) {
      for (size_t b = 0; b < blocks_of(m); ++b) all.push_back(block_of(problem_, current_, m, b));
    }
    const auto choose = [&](const auto& self, size_t from) -> void {
      if (anchors.size() < problem_.sets) {
        for (size_t b = from; b < all.size(); ++b) {
          if (!may_anchor(all[b].model)) continue;
          anchors.push_back(all[b]);
          self(self, b + 1);
          anchors.pop_back();
        }
        return;
      }
      if (!forced_anchor(anchors)) return;
      double value = 0;
      std::vector<size_t> sets;
      for (const Block& b : all) {
        size_t set = 0;
        double most = kNever;
        for (size_t k = 0; k < anchors.size(); ++k) {
          // An anchor stands in its own set, whatever it is like.
          const double s = anchors[k] == b ? std::numeric_limits<double>::infinity()
                                           : block_similarity(problem_, b, anchors[k]);
          if (s > most) {
            most = s;
            set = k;
          }
        }
        sets.push_back(set);
        value += block_similarity(problem_, b, anchors[set]);
      }
      if (value <= value_) return;
      offer(value, anchors);
      size_t next = 0;
      for (size_t m = 0; m < models(); ++m) {
        best_.set_of[m].assign(sets.begin() + ptrdiff_t(next),
                               sets.begin() + ptrdiff_t(next + blocks_of(m)));
        next += blocks_of(m);
      }
    };
    choose(choose, 0);
  }

  const PartitionProblem& problem_;
  std::vector<std::vector<Way>> ways_;
  Partition current_, best_;
  double value_ = kNever;
  uint64_t nodes_ = 0;
};

}  // namespace

PartitionResult solve_exhaustively(const PartitionProblem& problem, const Control& control) {
  return Oracle(problem).run(control);
}

}  // namespace kintsugi::solvers::partition
