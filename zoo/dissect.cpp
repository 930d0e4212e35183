#include "kintsugi/zoo/dissect.h"

#include <algorithm>

#include "kintsugi/zoo/datasets/loader.h"
#include "kintsugi/zoo/hub.h"

namespace kintsugi::zoo {

DissectedModel dissect(const std::string& name, nn::Network& network) {
  DissectedModel model;
  model.name = name;
  for (size_t i = 0; i < network.blocks().size(); ++i) {
    const nn::Network::Block& block = network.blocks()[i];
    model.nodes.push_back(block.name);
    model.costs.push_back(network.block_cost(int64_t(i)));
    model.in.push_back(block.in);
    model.out.push_back(block.out);
  }
  return model;
}

std::vector<ZooMember> load_zoo(const ZooFile& zoo) {
  if (zoo.models.size() < 2) {
    fail(ErrorKind::kUsage, "zoo: got ", zoo.models.size(),
         " network", zoo.models.size() == 1 ? "" : "s", ", expected at least two to reassemble");
  }
  std::vector<ZooMember> members;
  for (const ZooFile::Model& model : zoo.models) {
    ZooMember member{model.model, model.weights, model.licence, {}};
    for (const ZooMember& other : members) {
      if (other.name == member.name) fail(ErrorKind::kUsage, "zoo: '", member.name, "' is there twice");
    }
    member.loaded = load_network(model.model, model.weights);
    if (model.classes != 0 && model.classes != member.loaded.card.classes) {
      fail(ErrorKind::kFormat, "zoo: ", model.model, " has ", member.loaded.card.classes,
           " classes, the zoo says ", model.classes);
    }
    if (!model.mean.empty()) member.loaded.card.preprocessing.mean = model.mean;
    if (!model.std.empty()) member.loaded.card.preprocessing.std = model.std;
    members.push_back(std::move(member));
  }
  return members;
}

LoaderOptions loader_options(const Shape& input, const Preprocessing& preprocessing,
                             int64_t batch_size) {
  LoaderOptions options;
  options.batch_size = batch_size;
  options.channels = int(input[0]);
  options.height = int(input[1]);
  options.width = int(input[2]);
  options.interpolation = preprocessing.interpolation == "bicubic" ? Interpolation::kBicubic
                                                                   : Interpolation::kBilinear;
  options.crop_fraction = preprocessing.crop_pct;
  return options;
}

std::vector<int64_t> seeded_images(const std::shared_ptr<const Dataset>& data, int64_t images,
                                   uint64_t seed) {
  LoaderOptions options;
  options.seed = seed;
  options.shuffle = true;
  std::vector<int64_t> order = Loader(data, options).order(0);
  if (int64_t(order.size()) > images) order.resize(size_t(images));
  return order;
}

SimilarityFile similarity_of(std::vector<ZooMember>& members, std::shared_ptr<const Dataset> data,
                             const SimilarityOptions& options,
                             const std::function<void(double)>& progress, std::stop_token stop) {
  if (members.size() < 2) {
    fail(ErrorKind::kUsage, "similarity: got a zoo of ", members.size(), ", expected at least two");
  }
  SimilarityFile file;
  file.metric = options.cka.estimator == solvers::CkaEstimator::kBiased ? "linear-cka"
                                                                        : "linear-cka-unbiased";
  std::vector<Loader> loaders;
  size_t positions = 0;
  for (ZooMember& member : members) {
    nn::Network& network = *member.loaded.network;
    network.train(false);
    DissectedModel model = dissect(member.name, network);
    model.weights = member.weights;
    model.sha256 = sha256_of_weights(member.weights);
    model.naming = member.loaded.card.naming;
    positions += size_t(model.positions());
    file.models.push_back(std::move(model));
    LoaderOptions loader = loader_options(network.input(), member.loaded.card.preprocessing,
                                          options.batch_size);
    loader.prefetch = 0;
    loaders.emplace_back(data, loader);
  }
  const std::vector<int64_t> images = seeded_images(data, options.images, options.seed);
  // A short last batch would weigh as much as a whole one in the mean over batches, so it is left out.
  const int64_t batch = std::min<int64_t>(options.batch_size, int64_t(images.size()));
  const int64_t batches = int64_t(images.size()) / batch;
  file.images = batches * batch;
  solvers::StreamingCka cka(positions, options.cka);
  autograd::NoGrad no_grad;
  for (int64_t b = 0; b < batches; ++b) {
    const std::span<const int64_t> chosen(images.data() + b * batch, size_t(batch));
    cka.begin_batch(size_t(batch));
    size_t base = 0;
    for (size_t m = 0; m < members.size(); ++m) {
      if (stop.stop_requested()) fail(ErrorKind::kInterrupted, "similarity: stopped");
      nn::Network& network = *members[m].loaded.network;
      const Preprocessing& preprocessing = members[m].loaded.card.preprocessing;
      const Batch pixels = loaders[m].batch_of(chosen);
      const Tensor x = normalise(pixels, preprocessing.mean, preprocessing.std);
      network.forward_features(nn::Variable(x), [&](int64_t position, const nn::Variable& feature) {
        const Tensor rows = nn::pooled(feature).contiguous();
        cka.add(base + size_t(position), rows.data<float>(), size_t(batch), size_t(rows.size(1)));
      });
      base += size_t(network.positions());
      if (progress) {
        progress((double(b) + double(m + 1) / double(members.size())) / double(batches));
      }
    }
    cka.end_batch({.stop = stop});
  }
  file.similarity = cka.similarity();
  return file;
}

namespace {

BlockRange to_range(const SimilarityFile& file, const solvers::Block& block) {
  return {file.models[block.model].name, int64_t(block.first), int64_t(block.last)};
}

}  // namespace

PartitionFile partition_zoo(const SimilarityFile& file, const PartitionOptions& options,
                            const solvers::Control& control) {
  if (options.k < 1) fail(ErrorKind::kUsage, "partition: got k = ", options.k, ", expected at least 1");
  solvers::PartitionProblem problem;
  for (const DissectedModel& model : file.models) {
    problem.nodes.push_back(model.nodes.size());
    problem.names.push_back(model.name);
  }
  problem.similarity = file.similarity;
  problem.sets = size_t(options.k);
  problem.epsilon = options.epsilon;
  problem.size_bound = options.size_bound;
  const solvers::PartitionResult result =
      solvers::exact_partition(problem, {.restarts = 20, .seed = options.seed}, control);

  PartitionFile out;
  out.k = options.k;
  out.epsilon = options.epsilon;
  out.size_bound = options.size_bound == solvers::SizeBound::kCeil ? "ceil" : "strict";
  out.models = file.models;
  for (const auto& cuts : result.best.cuts) out.cuts.emplace_back(cuts.begin(), cuts.end());
  std::vector<size_t> base{0};
  for (const size_t nodes : problem.nodes) base.push_back(base.back() + nodes + 1);
  for (size_t k = 0; k < problem.sets; ++k) {
    PartitionFile::Set set;
    const solvers::Block& anchor = result.best.anchors[k];
    set.anchor = to_range(file, anchor);
    for (size_t m = 0; m < problem.nodes.size(); ++m) {
      const solvers::Block block = solvers::block_of(problem, result.best, m, k);
      set.blocks.push_back(to_range(file, block));
      set.similarity.push_back(solvers::block_similarity(problem, block, anchor));
    }
    out.sets.push_back(std::move(set));
  }
  for (size_t k = 0; k + 1 < problem.sets; ++k) {
    const size_t n = problem.nodes.size();
    solvers::Matrix scores(n, n);
    for (size_t a = 0; a < n; ++a) {
      for (size_t b = 0; b < n; ++b) {
        const solvers::Block left = solvers::block_of(problem, result.best, a, k);
        const solvers::Block right = solvers::block_of(problem, result.best, b, k + 1);
        scores(a, b) = file.similarity(base[a] + left.last, base[b] + right.first - 1);
      }
    }
    out.stitches.push_back(std::move(scores));
  }
  out.objective = result.best.objective;
  out.bound = result.bound;
  out.gap = result.gap;
  out.seconds = result.seconds;
  if (options.heuristic) {
    const solvers::PartitionResult swap = solvers::swap_partition(problem, 200, options.seed, control);
    out.heuristic = PartitionFile::Heuristic{swap.best.objective, swap.seconds};
  }
  return out;
}

}  // namespace kintsugi::zoo
