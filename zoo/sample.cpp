#include "kintsugi/zoo/sample.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "kintsugi/zoo/datasets/shuffle.h"

namespace kintsugi::zoo {

namespace {

struct Drawn {
  std::vector<size_t> chosen;
  double objective = 0;
  int64_t params = 0;  // of the blocks
};

class Sampler {
 public:
  Sampler(const PartitionFile& partition, const ReassembleOptions& rules, uint64_t seed)
      : partition_(partition), rules_(rules), seed_(seed) {
    for (size_t m = 0; m < partition.models.size(); ++m) index_[partition.models[m].name] = m;
  }

  // Up to `most` different assemblies that keep the rule on blocks of one network, at random.
  std::vector<Drawn> pool(size_t most) const {
    size_t all = 1;
    constexpr size_t kEnumerated = 1'000'000;
    for (const auto& set : partition_.sets) {
      all = std::min(kEnumerated + 1, all * set.blocks.size());
    }
    std::vector<Drawn> pool;
    std::set<std::vector<size_t>> seen;
    const auto add = [&](uint64_t number) {
      Drawn drawn = assembly(number, all <= kEnumerated);
      if (!allowed(drawn.chosen) || !seen.insert(drawn.chosen).second) return;
      pool.push_back(std::move(drawn));
    };
    if (all <= kEnumerated) {
      for (const int64_t number : shuffled(int64_t(all), seed_, kSubsetStream)) {
        if (pool.size() < most) add(uint64_t(number));
      }
    } else {
      for (uint64_t number = 0; pool.size() < most && number < 100 * most; ++number) add(number);
    }
    return pool;
  }

  // The plan of one choice; none where it breaks a rule or a budget.
  std::optional<PlanFile> plan(const std::vector<size_t>& chosen,
                               const solvers::Control& control) const {
    PartitionFile one = partition_;
    std::set<std::string> used;
    for (size_t k = 0; k < chosen.size(); ++k) {
      PartitionFile::Set& set = one.sets[k];
      set.blocks = {set.blocks[chosen[k]]};
      set.similarity = {set.similarity[chosen[k]]};
      used.insert(set.blocks[0].model);
      if (k > 0) {
        one.stitches[k - 1] =
            solvers::Matrix(1, 1, partition_.stitches[k - 1](chosen[k - 1], chosen[k]));
      }
    }
    one.models.clear();
    one.cuts.clear();
    for (size_t m = 0; m < partition_.models.size(); ++m) {
      if (!used.contains(partition_.models[m].name)) continue;
      one.models.push_back(partition_.models[m]);
      one.cuts.push_back(partition_.cuts[m]);
    }
    ReassembleOptions options = rules_;
    options.best = 1;
    Reassembly answer = reassemble(one, options, control);
    if (answer.plans.empty()) return std::nullopt;
    return std::move(answer.plans.front());
  }

 private:
  // By its number among all, or by as many random numbers as there are sets.
  Drawn assembly(uint64_t number, bool enumerated) const {
    Drawn drawn;
    uint64_t rest = number;
    for (size_t k = 0; k < partition_.sets.size(); ++k) {
      const PartitionFile::Set& set = partition_.sets[k];
      const auto bits = draw(seed_, kSubsetStream, number, k);
      const size_t b = enumerated ? size_t(rest % set.blocks.size())
                                  : size_t(below(set.blocks.size(), bits[0], bits[1]));
      rest /= set.blocks.size();
      drawn.objective += set.similarity[b];
      if (k > 0) drawn.objective += partition_.stitches[k - 1](drawn.chosen.back(), b);
      const DissectedModel& model = partition_.models[index_.at(set.blocks[b].model)];
      for (int64_t i = set.blocks[b].first; i <= set.blocks[b].last; ++i) {
        drawn.params += model.costs[size_t(i - 1)].params;
      }
      drawn.chosen.push_back(b);
    }
    return drawn;
  }

  bool allowed(const std::vector<size_t>& chosen) const {
    const size_t most =
        rules_.max_per_model > 0 ? size_t(rules_.max_per_model) : (chosen.size() + 1) / 2;
    std::map<std::string, size_t> uses;
    for (size_t k = 0; k < chosen.size(); ++k) {
      if (++uses[partition_.sets[k].blocks[chosen[k]].model] > most) return false;
    }
    return true;
  }

  const PartitionFile& partition_;
  const ReassembleOptions& rules_;
  uint64_t seed_;
  std::map<std::string, size_t> index_;
};

}  // namespace

std::vector<SampledPlan> sample_plans(const PartitionFile& partition, size_t count,
                                      const ReassembleOptions& rules, uint64_t seed,
                                      const solvers::Control& control) {
  const Sampler sampler(partition, rules, seed);
  std::vector<Drawn> pool = sampler.pool(20 * count);
  std::sort(pool.begin(), pool.end(), [](const Drawn& a, const Drawn& b) {
    return a.objective < b.objective || (a.objective == b.objective && a.chosen < b.chosen);
  });
  const size_t slices = std::max<size_t>(1, size_t(std::ceil(std::sqrt(double(count)))));
  std::vector<SampledPlan> plans;
  std::vector<std::vector<Drawn>> left;  // of each slice
  const auto take = [&](std::vector<Drawn>& slice, size_t wanted) {
    // Evenly spaced by size; where one breaks a rule, the next that keeps them.
    const size_t size = slice.size(), before = plans.size();
    std::vector<bool> tried(size, false);
    for (size_t i = 0; i < wanted && plans.size() - before < wanted; ++i) {
      const size_t begin = (2 * i + 1) * size / (2 * wanted);
      for (size_t step = 0; step < size && plans.size() - before <= i; ++step) {
        const size_t at = (begin + step) % size;
        if (tried[at]) continue;
        if (control.stop.stop_requested()) fail(ErrorKind::kInterrupted, "sample: stopped");
        tried[at] = true;
        std::optional<PlanFile> plan = sampler.plan(slice[at].chosen, control);
        if (plan) plans.push_back({slice[at].chosen, std::move(*plan)});
      }
    }
    std::vector<Drawn> rest;
    for (size_t i = 0; i < size; ++i) {
      if (!tried[i]) rest.push_back(std::move(slice[i]));
    }
    slice = std::move(rest);
  };
  for (size_t s = 0; s < slices; ++s) {
    std::vector<Drawn> slice(pool.begin() + ptrdiff_t(s * pool.size() / slices),
                             pool.begin() + ptrdiff_t((s + 1) * pool.size() / slices));
    std::sort(slice.begin(), slice.end(), [](const Drawn& a, const Drawn& b) {
      return a.params < b.params || (a.params == b.params && a.chosen < b.chosen);
    });
    take(slice, count * (s + 1) / slices - count * s / slices);
    left.push_back(std::move(slice));
  }
  for (auto& slice : left) take(slice, count - plans.size());
  if (plans.size() < count) {
    fail(ErrorKind::kUsage, "sample: found ", plans.size(),
         " assemblies that keep the rules and budgets, expected ", count);
  }
  return plans;
}

}  // namespace kintsugi::zoo
