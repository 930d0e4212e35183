#include "kintsugi/solvers/compat/dery_partition.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <random>

#include "kintsugi/engine/core/error.h"
#include "kintsugi/solvers/clock.h"

namespace kintsugi::solvers::compat {

namespace {

size_t below(std::mt19937_64& random, size_t n) {
  return size_t((static_cast<unsigned __int128>(random()) * n) >> 64);
}

class Reference {
 public:
  Reference(const PartitionProblem& problem, uint64_t seed) : problem_(problem), random_(seed) {
    size_t at = 0;
    for (const size_t nodes : problem.nodes) {
      start_.push_back(at);
      at += nodes + 1;
    }
    const double even = std::ceil(double(problem.nodes.back()) / double(problem.sets));
    cap_ = size_t(even * (1 + problem.epsilon));
  }

  DeryPartition run(size_t trials, const Control& control) {
    Clock clock(control);
    constexpr size_t kPatience = 20;
    std::shared_ptr<State> best;
    double best_total = -std::numeric_limits<double>::infinity();
    for (size_t t = 0; t < trials && (t == 0 || !clock.over()); ++t) {
      const auto state = std::make_shared<State>(draw());
      for (size_t not_better = 0; not_better <= kPatience;) {
        repartition(*state);
        recentre(*state);
        reassign(*state);
        if (const double total = total_of(*state); total > best_total) {
          best_total = total;
          best = state;  // and goes on changing
        } else {
          ++not_better;
        }
      }
      clock.report(double(t + 1) / double(trials));
    }
    DeryPartition out;
    for (const auto& ends : best->ends) out.cuts.emplace_back(ends.begin() + 1, ends.end() - 1);
    out.centres = best->centres;
    out.sets = entries(*best);
    out.total = total_of(*best);
    out.best_total = best_total;
    out.cap = cap_;
    count_faults(*best, out);
    out.seconds = clock.seconds();
    return out;
  }

 private:
  struct State {
    std::vector<std::vector<size_t>> ends;    // [network]: K + 1 positions, 0 and L among them
    std::vector<std::vector<size_t>> set_of;  // [network][stage]
    std::vector<StagedBlock> centres;
  };

  size_t sets() const { return problem_.sets; }
  StagedBlock block(const State& state, size_t m, size_t stage) const {
    return {{m, state.ends[m][stage] + 1, state.ends[m][stage + 1]}, stage};
  }

  double similarity(const StagedBlock& a, const StagedBlock& b) const {
    if (a == b) return 1;
    if (a.stage != b.stage) return 0;
    const size_t p = start_[a.block.model], q = start_[b.block.model];
    // Outputs of the first nodes for the inputs.
    return problem_.similarity(p + a.block.first, q + b.block.first) +
           problem_.similarity(p + a.block.last, q + b.block.last);
  }

  State draw() {
    State state;
    for (const size_t nodes : problem_.nodes) {
      std::vector<size_t> places;
      for (size_t p = 1; p + 1 < nodes; ++p) places.push_back(p);
      std::vector<size_t> ends{0, nodes};
      for (size_t c = 1; c < sets(); ++c) {
        const size_t n = below(random_, places.size());
        ends.push_back(places[n]);
        places.erase(places.begin() + ptrdiff_t(n));
      }
      std::sort(ends.begin(), ends.end());
      state.ends.push_back(ends);
    }
    const size_t m = below(random_, problem_.nodes.size());
    for (size_t k = 0; k < sets(); ++k) state.centres.push_back(block(state, m, k));
    reassign(state);
    return state;
  }

  // Of a border where it is, one node forwards and one back, the one whose two blocks are most like
  // their sets' centres.
  void repartition(State& state) const {
    for (size_t m = 0; m < state.ends.size(); ++m) {
      std::vector<size_t>& ends = state.ends[m];
      for (size_t k = 1; k < sets(); ++k) {
        const size_t border = ends[k];
        const auto worth = [&](size_t c) {
          ends[k] = c;
          return similarity(block(state, m, k - 1), state.centres[state.set_of[m][k - 1]]) +
                 similarity(block(state, m, k), state.centres[state.set_of[m][k]]);
        };
        const size_t left = border - ends[k - 1], right = ends[k + 1] - border;
        size_t best = border;
        double most = worth(border);
        const auto offer = [&](size_t c, size_t shrinking) {
          if (shrinking <= 1 || shrinking > cap_) return;
          if (const double value = worth(c); value > most) {
            most = value;
            best = c;
          }
        };
        offer(border - 1, left);
        offer(border + 1, right);
        ends[k] = best;
      }
    }
  }

  std::vector<std::vector<StagedBlock>> entries(const State& state) const {
    std::vector<std::vector<StagedBlock>> out;
    for (const StagedBlock& centre : state.centres) out.push_back({centre});
    for (size_t m = 0; m < state.ends.size(); ++m) {
      for (size_t k = 0; k < sets(); ++k) out[state.set_of[m][k]].push_back(block(state, m, k));
    }
    return out;
  }

  void recentre(State& state) const {
    const auto sets = entries(state);
    for (size_t j = 0; j < sets.size(); ++j) {
      double most = -std::numeric_limits<double>::infinity();
      for (const StagedBlock& candidate : sets[j]) {
        double sum = 0;
        for (const StagedBlock& other : sets[j]) sum += similarity(other, candidate);
        if (sum > most) {
          most = sum;
          state.centres[j] = candidate;
        }
      }
    }
  }

  void reassign(State& state) const {
    state.set_of.assign(state.ends.size(), std::vector<size_t>(sets(), 0));
    for (size_t m = 0; m < state.ends.size(); ++m) {
      for (size_t k = 0; k < sets(); ++k) {
        double most = -std::numeric_limits<double>::infinity();
        for (size_t j = 0; j < sets(); ++j) {
          const double s = similarity(block(state, m, k), state.centres[j]);
          if (s <= most) continue;
          most = s;
          state.set_of[m][k] = j;
        }
      }
    }
  }

  double total_of(const State& state) const {
    double sum = 0;
    for (const auto& set : entries(state)) {
      for (size_t a = 0; a < set.size(); ++a) {
        for (size_t b = 0; b < a; ++b) sum += similarity(set[a], set[b]);
      }
    }
    return sum;
  }

  void count_faults(const State& state, DeryPartition& out) const {
    std::vector<Block> all;
    for (size_t m = 0; m < state.ends.size(); ++m) {
      const double cap = block_cap(double(problem_.nodes[m]), sets(), problem_.epsilon,
                                   problem_.size_bound);
      for (size_t k = 0; k < sets(); ++k) {
        const Block b = block(state, m, k).block;
        out.over_size += double(b.last - b.first + 1) > cap;
        all.push_back(b);
      }
    }
    for (const StagedBlock& c : out.centres) {
      if (std::find(all.begin(), all.end(), c.block) != all.end()) continue;
      ++out.stale_centres;
      all.push_back(c.block);
    }
    for (size_t a = 0; a < all.size(); ++a) {
      for (size_t b = 0; b < a; ++b) {
        out.overlaps += all[a].model == all[b].model && !(all[a] == all[b]) &&
                        all[a].first <= all[b].last && all[b].first <= all[a].last;
      }
    }
  }

  const PartitionProblem& problem_;
  std::mt19937_64 random_;
  std::vector<size_t> start_;
  size_t cap_ = 0;
};

}  // namespace

DeryPartition dery_partition(const PartitionProblem& problem, size_t trials, uint64_t seed,
                             const Control& control) {
  if (trials == 0) fail(ErrorKind::kUsage, "partition: 0 trials, expected at least 1");
  if (!problem.sizes.empty() || !problem.blocks.empty() || !problem.must_cut.empty() ||
      !problem.must_not_cut.empty() || !problem.anchors_from.empty() || !problem.forced.empty() ||
      problem.free_sets) {
    fail(ErrorKind::kUsage,
         "partition: the reference knows no sizes, block counts, cuts, anchors or free sets");
  }
  // The shape of the problem, but not whether its bound leaves room: the reference does not ask.
  PartitionProblem loose = problem;
  loose.size_bound = SizeBound::kCeil;
  validate(loose);
  for (size_t m = 0; m < problem.nodes.size(); ++m) {
    if (problem.nodes[m] > problem.sets) continue;
    fail(ErrorKind::kUsage, "partition: the reference cuts only networks of more than k = ",
         problem.sets, " nodes, but ",
         m < problem.names.size() ? "'" + problem.names[m] + "'" : "network " + std::to_string(m),
         " has ", problem.nodes[m]);
  }
  return Reference(problem, seed).run(trials, control);
}

}  // namespace kintsugi::solvers::compat
