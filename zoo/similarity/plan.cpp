#include "kintsugi/zoo/similarity/plan.h"

#include <algorithm>
#include <numeric>
#include <set>

#include "kintsugi/zoo/similarity/cache.h"
#include "kintsugi/zoo/similarity/features.h"
#include "kintsugi/zoo/similarity/grams.h"

namespace kintsugi::zoo {

namespace similarity {

bool is_cka(Metric metric) {
  return metric == Metric::kLinearCka || metric == Metric::kLinearCkaUnbiased ||
         metric == Metric::kRbfCka;
}

solvers::CkaOptions cka_options(Metric metric) {
  return {metric == Metric::kLinearCkaUnbiased ? solvers::CkaEstimator::kUnbiased
                                               : solvers::CkaEstimator::kBiased,
          metric == Metric::kRbfCka ? solvers::CkaKernel::kRbf : solvers::CkaKernel::kLinear};
}

solvers::SubspaceOptions subspace_options(const SimilarityOptions& options) {
  using solvers::SubspaceMetric;
  return {options.metric == Metric::kCca     ? SubspaceMetric::kCca
          : options.metric == Metric::kSvcca ? SubspaceMetric::kSvcca
                                             : SubspaceMetric::kLinearRegression,
          options.ridge};
}

const char* name_of(solvers::Projection::Method method) {
  using Method = solvers::Projection::Method;
  return method == Method::kPrincipal ? "principal" : method == Method::kRandom ? "random" : "none";
}

Plan plan_of(int64_t available, const SimilarityOptions& options) {
  Plan plan;
  plan.dery = options.compat == SimilarityCompat::kDery;
  const bool cka = is_cka(options.metric);
  if (plan.dery && (!cka || options.metric == Metric::kLinearCkaUnbiased || options.tokens > 0)) {
    fail(ErrorKind::kUsage,
         "similarity: the reference has linear-cka and rbf-cka of pooled features, not ",
         laws_of(options.metric).name, options.tokens > 0 ? " of sampled tokens" : "");
  }
  if (cka && !options.exact.empty()) {
    fail(ErrorKind::kUsage, "similarity: ", laws_of(options.metric).name,
         " has no projection: all its pairs are exact");
  }
  const int64_t wanted = options.images > 0 ? options.images : plan.dery ? available : 2048;
  plan.images = std::min(wanted, available);
  const int64_t rows = std::max<int64_t>(1, options.tokens);
  if (!cka) {
    if (plan.images * rows < 5) {
      fail(ErrorKind::kUsage, "similarity: got ", plan.images * rows, " rows, expected at least 5");
    }
    plan.batch_size = plan.images;
    plan.batches = {{0, plan.images}};
    return plan;
  }
  if (plan.dery) --plan.images;
  const int64_t batch = options.batch_size > 0 ? options.batch_size : plan.dery ? 2048 : 256;
  plan.batch_size = std::min(batch, plan.images);
  const int64_t least = options.metric == Metric::kLinearCkaUnbiased ? 4 : 2;
  if (plan.batch_size * rows < least) {
    fail(ErrorKind::kUsage, "similarity: a batch of ", plan.batch_size,
         " images, expected at least ", least);
  }
  for (int64_t at = 0; at < plan.images; at += plan.batch_size) {
    const int64_t end = std::min(plan.images, at + plan.batch_size);
    // A short last batch would weigh as much as a whole one in the mean over batches, so it is left
    // out; the reference leaves it in.
    if (end - at < plan.batch_size && !plan.dery) break;
    if (end - at < least) {
      fail(ErrorKind::kUsage, "similarity: the last batch would be ", end - at,
           " image, of which the reference makes 0 / 0; expected another number of images");
    }
    plan.batches.push_back({at, end});
  }
  plan.images = plan.batches.back().second;
  return plan;
}

std::vector<int64_t> all_positions(const ZooMember& member, const Plan& plan) {
  const int64_t first = plan.dery ? 1 : 0;
  std::vector<int64_t> out(size_t(member.loaded.network->positions() - first));
  std::iota(out.begin(), out.end(), first);
  return out;
}

std::vector<std::vector<int64_t>> named(const std::vector<std::pair<int64_t, int64_t>>& pairs,
                                        const std::vector<ZooMember>& members) {
  std::set<int64_t> wanted;
  for (const auto& [a, b] : pairs) wanted.insert({a, b});
  std::vector<std::vector<int64_t>> out(members.size());
  int64_t base = 0;
  for (size_t m = 0; m < members.size(); ++m) {
    const int64_t end = base + members[m].loaded.network->positions();
    for (auto it = wanted.lower_bound(base); it != wanted.end() && *it < end; ++it) {
      out[m].push_back(*it - base);
    }
    base = end;
  }
  if (!wanted.empty() && (*wanted.begin() < 0 || *wanted.rbegin() >= base)) {
    fail(ErrorKind::kUsage, "similarity: a pair names position ",
         *wanted.begin() < 0 ? *wanted.begin() : *wanted.rbegin(), ", expected 0 to ", base - 1);
  }
  return out;
}

}  // namespace similarity

SimilarityCost similarity_cost(const std::vector<ZooMember>& members, int64_t images,
                               const SimilarityOptions& options) {
  const similarity::Plan plan = similarity::plan_of(images, options);
  const bool cka = similarity::is_cka(options.metric), cached = !options.cache.empty();
  const auto rows = size_t(FeatureOptions{options.tokens}.rows(plan.batch_size));
  SimilarityCost cost;
  // `whole`: everything at once that is made of the features; `one`: of one network; `work`: its
  // features, and what the widest position takes while it is worked on.
  size_t whole = 0, one = 0, work = 0;
  const auto measure = [&](const ZooMember& member, const std::vector<int64_t>& positions,
                           const solvers::Projection& projection) {
    if (positions.empty()) return;
    nn::Network& network = *member.loaded.network;
    size_t channels = 0, widest = 0, made = 0, key = 1024;
    std::vector<std::pair<size_t, size_t>> entries;
    for (const nn::Network::Block& block : network.blocks()) key += block.name.size() + 3;
    for (const int64_t position : positions) {
      const auto c = size_t(network.feature_at(position).c);
      channels += c;
      widest = std::max(widest, c);
      const size_t floats = cka ? solvers::packed_gram(rows)
                                : solvers::basis_bytes(rows, c, projection) / sizeof(float);
      entries.push_back({1, floats});
      made += floats * sizeof(float);
    }
    whole += made;
    one = std::max(one, made);
    // Beforehand, not after the work: subspaces as large as half of the rows' space always meet.
    if (options.metric == Metric::kCca &&
        2 * std::min(widest, solvers::projected_dims(rows, projection)) > rows - 1) {
      fail(ErrorKind::kUsage, "similarity: cca of ", member.name, "'s ", widest,
           " channels as they are needs ", 2 * widest + 1, " rows, got ", rows,
           ": more images, or a projection");
    }
    const size_t scratch = cka ? rows * widest * sizeof(float)
                               : solvers::basis_working_bytes(rows, widest, projection);
    work = std::max(work, rows * channels * sizeof(float) + scratch);
    cost.cache += int64_t(SimilarityCache::file_bytes(key, entries) * plan.batches.size());
    cost.cache_files += int64_t(plan.batches.size());
  };
  for (const ZooMember& member : members) {
    const std::vector<int64_t> positions = similarity::all_positions(member, plan);
    cost.positions += int64_t(positions.size());
    measure(member, positions, options.projection);
  }
  const auto exact = similarity::named(options.exact, members);
  for (size_t m = 0; m < members.size(); ++m) {
    measure(members[m], exact[m], {.method = solvers::Projection::Method::kNone});
  }
  const auto positions = size_t(cost.positions);
  cost.memory = int64_t(work + (cka && cached ? one : whole));
  const bool here = Context::current().device == kCpu;
  cost.memory += int64_t(!cka   ? positions * positions * sizeof(double)
                         : here ? solvers::StreamingCka::working_bytes(positions, rows)
                                : similarity::device_working_bytes(positions, rows));
  if (!cached) cost.cache = cost.cache_files = 0;
  return cost;
}

std::vector<std::pair<int64_t, int64_t>> pairs_of(const PartitionFile& partition,
                                                  const std::vector<ZooMember>& members) {
  std::vector<int64_t> base{0};
  for (const ZooMember& member : members) {
    base.push_back(base.back() + member.loaded.network->positions());
  }
  if (partition.models.size() != members.size()) {
    fail(ErrorKind::kFormat, "similarity: the partition is of ", partition.models.size(),
         " networks, the zoo has ", members.size());
  }
  const auto base_of = [&](const BlockRange& block) {
    const auto at = std::find_if(members.begin(), members.end(), [&](const ZooMember& member) {
      return member.name == block.model;
    });
    if (at == members.end()) {
      fail(ErrorKind::kFormat, "similarity: the partition has ", block.model, ", the zoo has not");
    }
    const int64_t nodes = at->loaded.network->positions() - 1;
    if (block.first < 1 || block.last < block.first || block.last > nodes) {
      fail(ErrorKind::kFormat, "similarity: the partition has nodes ", block.first, " to ",
           block.last, " of ", block.model, ", which has ", nodes);
    }
    return base[size_t(at - members.begin())];
  };
  std::set<std::pair<int64_t, int64_t>> out;
  const auto add = [&](int64_t a, int64_t b) {
    if (a != b) out.insert(std::minmax(a, b));
  };
  for (size_t k = 0; k < partition.sets.size(); ++k) {
    const PartitionFile::Set& set = partition.sets[k];
    const int64_t anchor = base_of(set.anchor);
    for (const BlockRange& block : set.blocks) {
      const int64_t own = base_of(block);
      add(own + block.first - 1, anchor + set.anchor.first - 1);
      add(own + block.last, anchor + set.anchor.last);
      if (k + 1 == partition.sets.size()) continue;
      for (const BlockRange& next : partition.sets[k + 1].blocks) {
        add(own + block.last, base_of(next) + next.first - 1);
      }
    }
  }
  return {out.begin(), out.end()};
}

}  // namespace kintsugi::zoo
