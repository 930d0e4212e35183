#include "kintsugi/zoo/dery_search.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kintsugi/nn/blocks/heads.h"
#include "kintsugi/nn/blocks/stitch.h"
#include "kintsugi/zoo/assemble.h"
#include "kintsugi/zoo/hub.h"
#include "kintsugi/zoo/load.h"
#include "kintsugi/zoo/parts.h"
#include "kintsugi/zoo/proxies/batch.h"
#include "kintsugi/zoo/proxies/naswot.h"

namespace kintsugi::zoo {

namespace {

using nn::FeatureShape;
using solvers::compat::DeryCandidate;
using solvers::compat::DeryCost;

constexpr int64_t kBatches = 5, kBatch = 32;

class Search {
 public:
  Search(const PartitionFile& partition, const DerySearchOptions& options,
         std::shared_ptr<const Dataset> data)
      : partition_(partition), options_(options), data_(std::move(data)) {
    for (const DissectedModel& model : partition.models) {
      if (model.weights.empty()) {
        fail(ErrorKind::kUsage, "--compat dery: the partition names no weights of ", model.name);
      }
      if (!model.sha256.empty() && sha256_of_weights(model.weights) != model.sha256) {
        fail(ErrorKind::kFormat, model.weights.string(), ": not the weights that were partitioned");
      }
      sources_.push_back(load_network(model.architecture, model.weights));
    }
    problem_.stages = size_t(partition.k);
    problem_.least = options.least;
    problem_.most = options.most;
    for (size_t set = 0; set < partition.sets.size(); ++set) {
      for (const BlockRange& range : partition.sets[set].blocks) {
        const size_t model = index_of(range.model);
        const std::vector<int64_t>& cuts = partition.cuts[model];
        const auto before = std::count_if(cuts.begin(), cuts.end(),
                                          [&](int64_t cut) { return cut < range.first; });
        const nn::Network::Block& first = source(model).blocks().at(size_t(range.first - 1));
        problem_.blocks.push_back({.block = {model, size_t(range.first), size_t(range.last)},
                                   .stage = size_t(before),
                                   .set = set,
                                   .tokens = !first.out.is_grid()});
      }
    }
    problem_.cost = [this](const DeryCandidate& candidate) { return cost(candidate); };
    problem_.score = [this](const DeryCandidate& candidate) { return score(candidate); };
  }

  DeryReassembly run(const solvers::Control& control) {
    DeryReassembly answer;
    answer.result = solvers::compat::dery_search(problem_, size_t(options_.trials), options_.seed,
                                                 control);
    if (!answer.result.scored) {
      fail(ErrorKind::kInfeasible, "--compat dery: of ", answer.result.built,
           " networks none could be built within the budgets; the reference crashes here");
    }
    answer.cost = *cost(*answer.result.scored);
    std::vector<BlockRange> blocks;
    for (const size_t b : answer.result.scored->blocks) {
      const solvers::Block& block = problem_.blocks[b].block;
      blocks.push_back({partition_.models[block.model].name, int64_t(block.first),
                        int64_t(block.last)});
    }
    Parts parts(partition_.models, {.form = nn::StitchForm::kDery,
                                    .fresh_head = true,
                                    .classes = options_.classes});
    answer.plan = parts.plan_of(blocks, answer.result.score);
    return answer;
  }

 private:
  size_t index_of(const std::string& name) const {
    const auto& models = partition_.models;
    return size_t(std::find_if(models.begin(), models.end(),
                               [&](const DissectedModel& m) { return m.name == name; }) -
                  models.begin());
  }
  nn::Network& source(size_t model) { return *sources_[model].network; }

  // None where blocks cannot take what they get.
  std::shared_ptr<nn::Network> build(const DeryCandidate& candidate) {
    const size_t first = problem_.blocks[candidate.blocks[0]].block.model;
    const Shape& input = source(first).input();
    const int64_t classes = options_.classes != 0 ? options_.classes : source(first).classes();
    auto network = std::make_shared<nn::Network>("reassembled", input, classes);
    try {
      for (size_t k = 0; k < candidate.blocks.size(); ++k) {
        const solvers::Block& range = problem_.blocks[candidate.blocks[k]].block;
        FeatureShape wanted = source(range.model).blocks()[range.first - 1].in;
        if (k == 0) {
          network->set_stem("stem", nn::dery_stem(input[0], wanted.c));
        } else {
          const FeatureShape now = network->feature_at(network->positions() - 1);
          const int64_t stride = int64_t(candidate.strides[k - 1]);
          wanted.h = now.h / stride;
          wanted.w = now.w / stride;
          if (!now.is_grid() && !wanted.is_grid()) wanted.h = now.h, wanted.w = now.w;
          auto stitch = std::make_shared<nn::Stitch>(now, wanted, nn::StitchForm::kDery, stride);
          const FeatureShape out = stitch->out();
          const std::string name = "stitches." + std::to_string(k - 1);
          network->add_block(name, std::move(stitch), name, &out);
        }
        for (size_t i = range.first; i <= range.last; ++i) {
          const nn::Network::Block& node = source(range.model).blocks()[i - 1];
          const std::string name = "blocks." + std::to_string(k) + "." + node.name;
          const FeatureShape now = network->feature_at(network->positions() - 1);
          FeatureShape out = node.out;
          out.prefix_tokens = 0;
          out.h = now.h * node.out.h / node.in.h;
          out.w = now.w * node.out.w / node.in.w;
          network->add_block(name, node.module, name, out.is_grid() ? nullptr : &out);
        }
      }
      const FeatureShape last = network->feature_at(network->positions() - 1);
      network->set_head("head", std::make_shared<nn::PoolHead>(last.c, classes,
                                                               nn::PoolHead::Options{}));
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kShape) throw;
      return nullptr;
    }
    Generator generator(options_.seed);
    network->stem()->initialise(generator);
    network->head()->initialise(generator);
    for (const size_t i : stitch_indices(*network)) {
      network->blocks()[i].module->initialise(generator);
    }
    return network;
  }

  std::optional<DeryCost> cost(const DeryCandidate& candidate) {
    const auto network = build(candidate);
    if (!network) return std::nullopt;
    const nn::Cost cost = network->cost();
    return DeryCost{double(cost.params), double(cost.macs)};
  }

  double score(const DeryCandidate& candidate) {
    const auto network = build(candidate);
    const size_t first = problem_.blocks[candidate.blocks[0]].block.model;
    double sum = 0;
    int64_t batches = 0;
    for (int64_t t = 0; t < kBatches && (t + 1) * kBatch <= data_->size(); ++t) {
      std::vector<int64_t> indices(kBatch);
      std::iota(indices.begin(), indices.end(), t * kBatch);
      const ProxyBatch batch = proxy_batch(data_, std::move(indices), network->input(),
                                           sources_[first].card.preprocessing);
      sum += naswot(*network, batch.images, true) + std::log(double(t + 1));
      ++batches;
    }
    return sum / double(batches);
  }

  const PartitionFile& partition_;
  const DerySearchOptions& options_;
  std::shared_ptr<const Dataset> data_;
  std::vector<LoadedNetwork> sources_;
  solvers::compat::DerySearchProblem problem_;
};

}  // namespace

DeryReassembly reassemble_dery(const PartitionFile& partition,
                               const std::shared_ptr<const Dataset>& data,
                               const DerySearchOptions& options, const solvers::Control& control) {
  if (data->size() < kBatch) {
    fail(ErrorKind::kUsage, "--compat dery: got ", data->size(), " images, expected at least ",
         kBatch);
  }
  return Search(partition, options, data).run(control);
}

}  // namespace kintsugi::zoo
