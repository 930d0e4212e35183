#include "kintsugi/zoo/similarity.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

#include "kintsugi/solvers/similarity.h"
#include "kintsugi/zoo/hub.h"
#include "kintsugi/zoo/json.h"
#include "kintsugi/zoo/similarity/cache.h"
#include "kintsugi/zoo/similarity/features.h"
#include "kintsugi/zoo/similarity/grams.h"
#include "kintsugi/zoo/similarity/plan.h"
#include "kintsugi/zoo/weights/sha256.h"

namespace kintsugi::zoo {

namespace {

constexpr int kCacheVersion = 1;  // to be raised where the same network gives other features

class Measurement {
 public:
  Measurement(std::vector<ZooMember>& members, std::shared_ptr<const Dataset> data,
              const SimilarityOptions& options, const std::function<void(double)>& progress,
              std::stop_token stop, const std::function<void(const std::string&)>& say)
      : members_(members),
        data_(std::move(data)),
        options_(options),
        plan_(similarity::plan_of(data_->size(), options)),
        progress_(progress),
        stop_(std::move(stop)) {
    if (members.size() < 2) {
      fail(ErrorKind::kUsage, "similarity: got a zoo of ", members.size(),
           ", expected at least two");
    }
    const SimilarityCost cost = similarity_cost(members, data_->size(), options);
    if (cost.memory > options.max_memory) {
      fail(ErrorKind::kUsage, "similarity: would take ", cost.memory >> 20, " MB of memory, ",
           options.max_memory >> 20, " are allowed; smaller batches",
           similarity::is_cka(options.metric) ? ", fewer tokens or a cache"
                                              : ", fewer images or dimensions",
           " need less");
    }
    if (!options.cache.empty()) cache_.emplace(options.cache, say);
    if (say) {
      std::string text = std::to_string(cost.positions) + " positions of " +
                         std::to_string(members.size()) + " networks, " +
                         std::to_string(plan_.images) + " images: at most " +
                         megabytes(cost.memory) + " of memory";
      if (!options.cache.empty()) {
        text += "; cache " + options.cache.string() + ": at most " + megabytes(cost.cache) +
                " in " + std::to_string(cost.cache_files) + " files";
      }
      say(text);
    }
    for (ZooMember& member : members) {
      nn::Network& network = *member.loaded.network;
      DissectedModel model = dissect(member.name, network);
      model.weights = member.weights;
      model.sha256 = sha256_of_weights(member.weights);
      model.naming = member.loaded.card.naming;
      model.licence = member.licence.empty() ? member.loaded.card.licence : member.licence;
      file_.models.push_back(std::move(model));
      LoaderOptions loader =
          loader_options(network.input(), member.loaded.card.preprocessing, plan_.batch_size);
      loader.prefetch = 0;
      loaders_.emplace_back(data_, loader);
    }
    if (plan_.dery) {
      images_.resize(size_t(plan_.images));
      std::iota(images_.begin(), images_.end(), int64_t{0});
    } else {
      images_ = seeded_images(data_, plan_.images, options.seed);
    }
    if (cache_) name_batches(cost);
  }

  SimilarityFile run() {
    file_.metric = laws_of(options_.metric).name;
    file_.images = plan_.images;
    file_.batch_size = plan_.batch_size;
    file_.seed = options_.seed;
    file_.tokens = options_.tokens;
    if (similarity::is_cka(options_.metric)) {
      measure_cka();
    } else {
      measure_subspaces();
    }
    return std::move(file_);
  }

 private:
  static std::string megabytes(int64_t bytes) {
    return std::to_string((bytes + (1 << 20) - 1) >> 20) + " MB";
  }

  void report(double fraction) const {
    if (progress_) progress_(fraction);
  }
  void check() const {
    if (stop_.stop_requested()) fail(ErrorKind::kInterrupted, "similarity: stopped");
  }
  std::span<const int64_t> batch(size_t b) const {
    const auto [begin, end] = plan_.batches[b];
    return {images_.data() + begin, size_t(end - begin)};
  }

  // Entries are named by what the images are, not by where they lie.
  void name_batches(const SimilarityCost& cost) {
    std::error_code error;
    const auto space = std::filesystem::space(options_.cache, error);
    int64_t there = 0;
    for (const auto& entry : std::filesystem::directory_iterator(options_.cache, error)) {
      if (entry.path().extension() == ".sim") there += int64_t(entry.file_size(error));
    }
    if (!error && int64_t(space.available) < cost.cache - there) {
      fail(ErrorKind::kIo, options_.cache.string(), ": the cache wants ", megabytes(cost.cache),
           ", the disk has ", megabytes(int64_t(space.available)), " left");
    }
    for (size_t b = 0; b < plan_.batches.size(); ++b) {
      std::string digests;
      for (const int64_t index : batch(b)) {
        check();
        const Image image = data_->image(index);
        digests += std::to_string(index) + ":" + std::to_string(image.height) + "x" +
                   std::to_string(image.width) + "x" + std::to_string(image.channels) + ":" +
                   sha256(std::as_bytes(image.pixels)) + "\n";
      }
      batch_digests_.push_back(sha256(std::as_bytes(std::span(digests))));
      report(kNaming * double(b + 1) / double(plan_.batches.size()));
    }
  }

  // All that the features of a network on a batch are a function of, and what is made of them.
  std::string key(size_t m, size_t b, std::span<const int64_t> positions, Json made) const {
    const Card& card = members_[m].loaded.card;
    Json json{{"version", kCacheVersion},
              {"model", card.architecture},
              {"naming", card.naming},
              {"weights", file_.models[m].sha256},
              {"nodes", file_.models[m].nodes},
              {"input", to_json(members_[m].loaded.network->input())},
              {"mean", card.preprocessing.mean},
              {"std", card.preprocessing.std},
              {"interpolation", card.preprocessing.interpolation},
              {"crop_pct", card.preprocessing.crop_pct},
              {"images", batch_digests_[b]},
              {"positions", std::vector<int64_t>(positions.begin(), positions.end())},
              {"made", std::move(made)}};
    if (options_.tokens > 0) json["tokens"] = {options_.tokens, options_.seed};
    // A device rounds otherwise than the host, and its products as the mode of math says.
    const Context& context = Context::current();
    if (context.device != kCpu) json["math"] = int(context.math);
    return json.dump();
  }

  std::vector<Tensor> features(size_t m, size_t b, std::span<const int64_t> positions, double begin,
                               double end) {
    const std::span<const int64_t> images = batch(b);
    return features_of(
        members_[m], loaders_[m], images, positions, {options_.tokens, options_.seed},
        [&](int64_t done) { report(begin + (end - begin) * double(done) / double(images.size())); },
        stop_);
  }

  static similarity::Grams in_file(const SimilarityCache::Record& record) {
    similarity::Grams out;
    for (const SimilarityCache::Entry& entry : record.entries) {
      out.packed.push_back(Tensor::borrow({1, int64_t(entry.floats.size())}, DType::kF32,
                                          entry.floats.data(), record.file));
      out.norms.push_back(entry.doubles[0]);
    }
    return out;
  }

  // A network's Grams of a batch: in a file where there is a cache.
  similarity::Grams grams(size_t m, size_t b, double begin, double end) {
    const std::vector<int64_t> positions = similarity::all_positions(members_[m], plan_);
    std::string name;
    if (cache_) {
      name = key(m, b, positions, {{"gram", file_.metric}});
      if (const auto found = cache_->find(members_[m].name, name)) return in_file(*found);
    }
    similarity::Grams out =
        similarity::grams_of(features(m, b, positions, begin, end),
                             similarity::cka_options(options_.metric), [&] { check(); });
    if (!cache_) return out;
    std::vector<SimilarityCache::Entry> entries;
    for (size_t p = 0; p < out.packed.size(); ++p) {
      Tensor& packed = out.packed[p];
      packed = packed.to(kCpu);
      entries.push_back({{&out.norms[p], 1}, {packed.data<float>(), size_t(packed.numel())}});
    }
    return in_file(cache_->put(members_[m].name, name, entries));
  }

  void measure_cka() {
    std::vector<size_t> base{0};
    for (const ZooMember& member : members_) {
      base.push_back(base.back() + similarity::all_positions(member, plan_).size());
    }
    solvers::StreamingCka cka(base.back(), similarity::cka_options(options_.metric));
    const double steps = double(plan_.batches.size() * members_.size());
    const double start = cache_ ? kNaming : 0;
    double done = 0;
    const Device device = Context::current().device;
    for (size_t b = 0; b < plan_.batches.size(); ++b) {
      similarity::Grams all;
      cka.begin_batch(batch(b).size() * size_t(std::max<int64_t>(1, options_.tokens)));
      for (size_t m = 0; m < members_.size(); ++m) {
        const double begin = start + (1 - start) * done / steps;
        const double end = start + (1 - start) * ++done / steps;
        similarity::Grams of_network = grams(m, b, begin, end);
        std::move(of_network.packed.begin(), of_network.packed.end(),
                  std::back_inserter(all.packed));
        all.norms.insert(all.norms.end(), of_network.norms.begin(), of_network.norms.end());
        report(end);
      }
      if (device == kCpu) {
        for (size_t p = 0; p < all.packed.size(); ++p) {
          cka.add_gram(p, all.packed[p].data<float>(), all.norms[p]);
        }
        cka.end_batch({.stop = stop_});
      } else {
        cka.end_batch(similarity::products_on(device, all.packed, [&] { check(); }), all.norms);
      }
    }
    file_.similarity = plan_.dery ? with_inputs(cka.similarity(), base) : cka.similarity();
    if (plan_.dery) file_.compat = "dery";
  }

  // Position 0 of every network beside position 1, of the same value.
  static solvers::Matrix with_inputs(const solvers::Matrix& nodes,
                                     const std::vector<size_t>& base) {
    std::vector<size_t> from;
    for (size_t m = 0; m + 1 < base.size(); ++m) {
      from.push_back(base[m]);
      for (size_t p = base[m]; p < base[m + 1]; ++p) from.push_back(p);
    }
    solvers::Matrix out(from.size(), from.size());
    for (size_t i = 0; i < from.size(); ++i) {
      for (size_t j = 0; j < from.size(); ++j) out(i, j) = nodes(from[i], from[j]);
    }
    return out;
  }

  std::vector<solvers::Basis> bases(size_t m, std::span<const int64_t> positions,
                                    const solvers::Projection& projection, double begin,
                                    double end) {
    std::vector<solvers::Basis> out;
    std::string name;
    const auto rows = size_t(FeatureOptions{options_.tokens, options_.seed}.rows(plan_.images));
    if (cache_) {
      Json made{{"basis", similarity::name_of(projection.method)}};
      if (projection.method != solvers::Projection::Method::kNone) {
        made["dims"] = projection.dims;
        made["seed"] = projection.seed;
      }
      name = key(m, 0, positions, std::move(made));
      if (auto found = cache_->find(members_[m].name, name)) {
        for (const SimilarityCache::Entry& entry : found->entries) {
          out.push_back({rows,
                         {entry.floats.begin(), entry.floats.end()},
                         {entry.doubles.begin(), entry.doubles.end()}});
        }
        return out;
      }
    }
    const double middle = begin + 0.7 * (end - begin);
    std::vector<Tensor> all = features(m, 0, positions, begin, middle);
    for (size_t p = 0; p < all.size(); ++p) {
      const Tensor here = std::exchange(all[p], {}).to(kCpu);
      out.push_back(solvers::basis_of(here.data<float>(), rows, size_t(here.size(1)), p, projection,
                                      {.stop = stop_}));
      report(middle + (end - middle) * double(p + 1) / double(all.size()));
    }
    if (cache_) {
      std::vector<SimilarityCache::Entry> entries;
      for (const solvers::Basis& basis : out) entries.push_back({basis.s, basis.u});
      cache_->put(members_[m].name, name, entries);
    }
    return out;
  }

  // Bases of some positions of every network, one after the other.
  std::vector<solvers::Basis> bases_of_all(const std::vector<std::vector<int64_t>>& positions,
                                           const solvers::Projection& projection, double begin,
                                           double end) {
    std::vector<solvers::Basis> out;
    for (size_t m = 0; m < members_.size(); ++m) {
      check();
      const double step = (end - begin) / double(members_.size());
      if (!positions[m].empty()) {
        std::vector<solvers::Basis> some = bases(
            m, positions[m], projection, begin + step * double(m), begin + step * double(m + 1));
        std::move(some.begin(), some.end(), std::back_inserter(out));
      }
      report(begin + step * double(m + 1));
    }
    return out;
  }

  void measure_subspaces() {
    const solvers::SubspaceOptions subspace = similarity::subspace_options(options_);
    solvers::Projection projection = options_.projection;
    projection.seed = options_.seed;
    std::vector<std::vector<int64_t>> positions;
    for (const ZooMember& member : members_)
      positions.push_back(similarity::all_positions(member, plan_));
    const double start = cache_ ? kNaming : 0, exact = options_.exact.empty() ? 1 : 0.6;
    double least = 1;
    {
      const std::vector<solvers::Basis> all =
          bases_of_all(positions, projection, start, 0.6 * exact);
      for (const solvers::Basis& basis : all) {
        if (basis.rank() > 0) least = std::min(least, basis.kept());
      }
      file_.similarity = solvers::subspace_similarity(
          all, subspace,
          {.stop = stop_, .progress = [&](double d) { report(exact * (0.6 + 0.4 * d)); }});
    }
    if (options_.metric == Metric::kLinearRegression) file_.ridge = options_.ridge;
    if (projection.method != solvers::Projection::Method::kNone) {
      const size_t rows = size_t(FeatureOptions{options_.tokens}.rows(plan_.images));
      file_.projection = SimilarityFile::Projected{
          similarity::name_of(projection.method),
          int64_t(solvers::projected_dims(rows, projection)), projection.seed, least};
    }
    if (!options_.exact.empty()) measure_exact(subspace, exact);
  }

  void measure_exact(const solvers::SubspaceOptions& subspace, double start) {
    const std::vector<std::vector<int64_t>> positions = similarity::named(options_.exact, members_);
    const std::vector<solvers::Basis> bases =
        bases_of_all(positions, {.method = solvers::Projection::Method::kNone}, start, 0.95);
    std::map<int64_t, const solvers::Basis*> of;
    int64_t base = 0;
    size_t next = 0;
    for (size_t m = 0; m < members_.size(); ++m) {
      for (const int64_t position : positions[m]) of[base + position] = &bases[next++];
      base += members_[m].loaded.network->positions();
    }
    std::set<std::pair<int64_t, int64_t>> done;
    for (const auto& [a, b] : options_.exact) {
      const std::pair<int64_t, int64_t> pair = std::minmax(a, b);
      if (a == b || !done.insert(pair).second) continue;
      check();
      const auto [forward, backward] =
          solvers::pair_similarity(*of[pair.first], *of[pair.second], subspace);
      file_.similarity(size_t(pair.first), size_t(pair.second)) = forward;
      file_.similarity(size_t(pair.second), size_t(pair.first)) = backward;
      report(0.95 + 0.05 * double(done.size()) / double(options_.exact.size()));
    }
    file_.exact.assign(done.begin(), done.end());
  }

  static constexpr double kNaming = 0.02;  // of the progress

  std::vector<ZooMember>& members_;
  std::shared_ptr<const Dataset> data_;
  const SimilarityOptions& options_;
  const similarity::Plan plan_;
  const std::function<void(double)>& progress_;
  std::stop_token stop_;
  SimilarityFile file_;
  std::vector<Loader> loaders_;
  std::vector<int64_t> images_;
  std::optional<SimilarityCache> cache_;
  std::vector<std::string> batch_digests_;
};

}  // namespace

SimilarityFile similarity_of(std::vector<ZooMember>& members, std::shared_ptr<const Dataset> data,
                             const SimilarityOptions& options,
                             const std::function<void(double)>& progress, std::stop_token stop,
                             const std::function<void(const std::string&)>& say) {
  try {
    return Measurement(members, std::move(data), options, progress, std::move(stop), say).run();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kInterrupted || options.cache.empty()) throw;
    fail(ErrorKind::kInterrupted, error.what(), "; the same call goes on from ",
         options.cache.string());
  }
}

}  // namespace kintsugi::zoo
