#include "kintsugi/zoo/assemble.h"

#include <algorithm>
#include <map>

#include "kintsugi/nn/blocks/heads.h"
#include "kintsugi/zoo/hub.h"

namespace kintsugi::zoo {

namespace {

using nn::FeatureShape;

// The stem that the reference gives every reassembled network: 7x7/2 - norm - ReLU - 3x3/2 pooling.
std::shared_ptr<nn::Module> dery_stem(int64_t in, int64_t channels) {
  auto stem = std::make_shared<nn::Sequential>();
  stem->add<nn::Conv2d>("0", in, channels,
                        nn::Conv2d::Options{.kernel = 7, .stride = 2, .padding = 3});
  stem->add<nn::BatchNorm2d>("1", channels);
  stem->add<nn::Activation>("2", nn::Act::kRelu);
  stem->add<nn::MaxPool2d>("3", ops::Pool2dParams::square(3, 2, 1));
  return stem;
}

// The networks that a plan takes parts from, each built once a use: a network that gives two blocks
// gives them from two copies, or training one would train the other.
class Sources {
 public:
  Sources(const PlanFile& plan, bool with_weights, uint64_t seed)
      : plan_(plan), with_weights_(with_weights), seed_(seed) {}

  std::shared_ptr<nn::Network> take(const PlanFile::Part& part) {
    if (with_weights_) {
      if (part.weights.empty()) {
        fail(ErrorKind::kUsage, "plan: the weights of ", part.model, " are not named");
      }
      const std::string digest = part.sha256.empty() ? "" : sha256_of_weights(part.weights);
      if (digest != part.sha256) {
        fail(ErrorKind::kFormat, part.weights.string(), ": sha256 is ", digest,
             ", the plan was made for ", part.sha256);
      }
      return load_network(part.model, part.weights,
                          {.channels = plan_.input[0], .seed = seed_}).network;
    }
    const Variant& variant = find_variant(part.model);
    BuildOptions options;
    options.input = variant.input;
    options.input[0] = plan_.input[0];
    options.naming = part.naming;
    return build_network(part.model, options);
  }

 private:
  const PlanFile& plan_;
  bool with_weights_;
  uint64_t seed_;
};

FeatureShape without_prefix(FeatureShape shape) {
  shape.prefix_tokens = 0;
  return shape;
}

std::shared_ptr<nn::Network> build(const PlanFile& plan, bool with_weights, uint64_t seed) {
  Sources sources(plan, with_weights, seed);
  auto network = std::make_shared<nn::Network>("reassembled", plan.input, plan.classes);
  network->classifier = "head.fc";
  if (plan.stem.part) {
    const auto source = sources.take(*plan.stem.part);
    if (source->input() != plan.input) {
      fail(ErrorKind::kFormat, "plan: input ", plan.input, ", but the stem of ",
           plan.stem.part->model, " takes ", source->input());
    }
    const FeatureShape stem_out = source->feature_at(0);
    network->set_stem("stem", source->stem(), &stem_out);
  } else {
    network->set_stem("stem", dery_stem(plan.input[0], plan.stem.fresh_channels));
  }
  for (size_t b = 0; b < plan.blocks.size(); ++b) {
    const PlanFile::Block& block = plan.blocks[b];
    const auto source = sources.take(block);
    const int64_t nodes = int64_t(source->blocks().size());
    if (block.first < 1 || block.last < block.first || block.last > nodes) {
      fail(ErrorKind::kFormat, "plan: nodes ", block.first, "..", block.last, " of ", block.model,
           ", which has ", nodes);
    }
    const FeatureShape wanted = source->feature_at(block.first - 1);
    if (b > 0) {
      const PlanFile::Stitch& stitch = plan.stitches[b - 1];
      const FeatureShape now = network->feature_at(network->positions() - 1);
      auto module = std::make_shared<nn::Stitch>(now, wanted, nn::stitch_form(stitch.form));
      const FeatureShape out = module->out();
      const std::string name = "stitches." + std::to_string(b - 1);
      network->add_block(name, std::move(module), name, &out);
    }
    const FeatureShape now = network->feature_at(network->positions() - 1);
    if (without_prefix(now) != without_prefix(wanted)) {
      fail(ErrorKind::kFormat, "plan: block ", b + 1, " (", block.model, ") takes ",
           wanted.tensor_shape(1), ", but gets ", now.tensor_shape(1));
    }
    for (int64_t i = block.first; i <= block.last; ++i) {
      const nn::Network::Block& node = source->blocks()[size_t(i - 1)];
      FeatureShape out = node.out;
      // Once a stitch has dropped the prefix tokens they stay away.
      if (!out.is_grid() && node.out.prefix_tokens == node.in.prefix_tokens) {
        out.prefix_tokens = network->feature_at(network->positions() - 1).prefix_tokens;
      }
      const std::string name = "blocks." + std::to_string(b) + "." + node.name;
      network->add_block(block.model + ":" + node.name, node.module, name, &out);
    }
  }
  const FeatureShape last = network->feature_at(network->positions() - 1);
  if (plan.head) {
    const auto source = sources.take(*plan.head);
    if (source->classes() != plan.classes) {
      fail(ErrorKind::kFormat, "plan: ", plan.classes, " classes, but the head of ", plan.head->model,
           " has ", source->classes());
    }
    network->classifier = "head." + source->classifier;
    network->set_head("head", source->head());
  } else {
    network->set_head("head", std::make_shared<nn::PoolHead>(last.c, plan.classes,
                                                             nn::PoolHead::Options{}));
  }
  network->set_path("");
  return network;
}

std::vector<double> costs(const nn::Cost& cost) { return {double(cost.params), double(cost.macs)}; }

// Everything that the choice needs to know of one network of the partition.
struct Source {
  std::shared_ptr<nn::Network> network;
  const DissectedModel* model;
  Card card;
};

FeatureShape block_in(const Source& source, const BlockRange& range) {
  return source.model->in[size_t(range.first - 1)];
}
FeatureShape block_out(const Source& source, const BlockRange& range) {
  return source.model->out[size_t(range.last - 1)];
}

// Neighbours at home need no stitch, but the plan keeps one between every two blocks: it says where
// the sets meet. They are joined as any other pair.
nn::Cost stitch_cost(const FeatureShape& in, const FeatureShape& out, nn::StitchForm form) {
  nn::Stitch stitch(in, out, form);
  return nn::cost_of(stitch, in.tensor_shape(1));
}

}  // namespace

Reassembly reassemble(const PartitionFile& partition, const ReassembleOptions& options,
                      const solvers::Control& control) {
  std::map<std::string, size_t> index;
  std::vector<Source> sources;
  for (const DissectedModel& model : partition.models) {
    Source source{nullptr, &model, {}};
    // A synthetic zoo names no architecture of the catalog; its stems and heads then cost nothing.
    const auto known = std::find_if(catalog().begin(), catalog().end(),
                                    [&](const Variant& v) { return v.name == model.name; });
    if (known != catalog().end()) {
      BuildOptions build{.classes = options.classes != 0 ? options.classes : -1};
      source.card = card_of(*known);
      if (options.classes == 0 && !model.weights.empty() &&
          std::filesystem::exists(model.weights)) {
        source.card = load_network(model.name, model.weights).card;
        build.classes = source.card.classes;
        build.input = source.card.input;
      }
      source.network = build_network(model.name, build);
    }
    index[model.name] = sources.size();
    sources.push_back(std::move(source));
  }

  const auto own_head = [&](const Source& source, const BlockRange& range) {
    return !options.fresh_head && range.last == int64_t(source.model->nodes.size());
  };
  const int64_t classes = options.classes != 0          ? options.classes
                          : sources.front().network ? sources.front().network->classes()
                                                        : 1000;

  solvers::ReassemblyProblem problem;
  problem.resources = {{"params", double(options.max_params)}, {"macs", double(options.max_macs)}};
  if (options.max_params == std::numeric_limits<int64_t>::max()) {
    problem.resources[0].budget = std::numeric_limits<double>::infinity();
  }
  if (options.max_macs == std::numeric_limits<int64_t>::max()) {
    problem.resources[1].budget = std::numeric_limits<double>::infinity();
  }
  for (const DissectedModel& model : partition.models) problem.models.push_back(model.name);
  problem.max_per_model = size_t(options.max_per_model);
  problem.grids_before_tokens = options.grids_before_tokens;
  const size_t stages = partition.sets.size();
  for (size_t k = 0; k < stages; ++k) {
    std::vector<solvers::Candidate> candidates;
    for (size_t b = 0; b < partition.sets[k].blocks.size(); ++b) {
      const BlockRange& range = partition.sets[k].blocks[b];
      const Source& source = sources[index.at(range.model)];
      nn::Cost cost;
      for (int64_t i = range.first; i <= range.last; ++i) {
        nn::Cost node = source.model->costs[size_t(i - 1)];
        const FeatureShape in = source.model->in[size_t(i - 1)];
        // Behind a stitch there is no class token, so attention costs less than at home.
        if (source.network && k > 0 && in.prefix_tokens > 0) {
          node = nn::cost_of(*source.network->blocks()[size_t(i - 1)].module,
                             without_prefix(in).tensor_shape(1));
        }
        cost.params += node.params;
        cost.macs += node.macs;
      }
      const FeatureShape in = block_in(source, range), out = block_out(source, range);
      solvers::Candidate candidate{.model = index.at(range.model),
                                   .value = partition.sets[k].similarity[b],
                                   .cost = costs(cost),
                                   .stem_cost = {},
                                   .head_cost = {}};
      candidate.in = in.is_grid() ? solvers::FeatureKind::kGrid : solvers::FeatureKind::kTokens;
      candidate.out = out.is_grid() ? solvers::FeatureKind::kGrid : solvers::FeatureKind::kTokens;
      if (source.network && k == 0) candidate.stem_cost = costs(source.network->stem_cost());
      if (source.network && k + 1 == stages) {
        if (own_head(source, range)) {
          candidate.head_cost = costs(source.network->head_cost());
        } else {
          nn::PoolHead head(out.c, classes, nn::PoolHead::Options{});
          candidate.head_cost = costs(nn::cost_of(head, out.tensor_shape(1)));
        }
      }
      candidates.push_back(std::move(candidate));
    }
    problem.stages.push_back(std::move(candidates));
  }
  for (size_t k = 0; k + 1 < stages; ++k) {
    const auto &left = partition.sets[k].blocks, &right = partition.sets[k + 1].blocks;
    std::vector<std::vector<solvers::Stitch>> table(left.size());
    for (size_t a = 0; a < left.size(); ++a) {
      for (size_t b = 0; b < right.size(); ++b) {
        FeatureShape in = block_out(sources[index.at(left[a].model)], left[a]);
        const FeatureShape out = block_in(sources[index.at(right[b].model)], right[b]);
        // Only tokens of the first block can still have their prefix.
        if (k > 0) in.prefix_tokens = 0;
        table[a].push_back({.possible = true,
                            .value = partition.stitches[k](a, b),
                            .cost = costs(stitch_cost(in, out, options.form))});
      }
    }
    problem.stitches.push_back(std::move(table));
  }

  Reassembly answer;
  answer.result = solvers::reassemble(
      problem,
      {.solver = options.solver, .best = size_t(options.best), .diversity = size_t(options.diversity)},
      control);
  for (const solvers::Assembly& assembly : answer.result.assemblies) {
    PlanFile plan;
    plan.classes = classes;
    FeatureShape before;
    for (size_t k = 0; k < stages; ++k) {
      const BlockRange& range = partition.sets[k].blocks[assembly.chosen[k]];
      const Source& source = sources[index.at(range.model)];
      PlanFile::Block block;
      block.model = range.model;
      block.weights = source.model->weights;
      block.sha256 = source.model->sha256;
      block.naming = source.model->naming;
      block.first = range.first;
      block.last = range.last;
      if (k == 0) {
        plan.stem.part = block;
        plan.input = source.network ? source.network->input() : Shape{1, 1, 1};
        plan.preprocessing = source.card.preprocessing;
        plan.labels = source.card.labels;
      } else {
        const nn::Stitch stitch(before, block_in(source, range), options.form);
        plan.stitches.push_back(
            {stitch.mode(), name_of(stitch.form()), stitch.in(), stitch.out(), stitch.stride()});
      }
      before = block_out(source, range);
      if (k > 0) before.prefix_tokens = 0;
      if (k + 1 == stages && own_head(source, range)) plan.head = block;
      plan.blocks.push_back(std::move(block));
    }
    plan.params = int64_t(assembly.cost[0]);
    plan.macs = int64_t(assembly.cost[1]);
    plan.objective = assembly.objective;
    plan.bound = answer.plans.empty() ? answer.result.bound : assembly.objective;
    plan.gap = answer.plans.empty() ? answer.result.gap : 0;
    answer.plans.push_back(std::move(plan));
  }
  return answer;
}

std::shared_ptr<nn::Network> build_plan(const PlanFile& plan) { return build(plan, false, 0); }

LoadedNetwork load_plan(const PlanFile& plan, uint64_t seed) {
  Card card{.classes = plan.classes,
            .input = plan.input,
            .preprocessing = plan.preprocessing,
            .labels = plan.labels};
  if (!plan.weights.empty()) {
    auto network = build(plan, false, seed);
    network->load_state(std::move(read_weights(plan.weights, {.unwrap = false}).tensors));
    return {network, card};
  }
  auto network = build(plan, true, seed);
  Generator generator(seed);
  network->initialise(generator);
  return {network, card};
}

std::vector<size_t> stitch_indices(const nn::Network& network) {
  std::vector<size_t> indices;
  for (size_t i = 0; i < network.blocks().size(); ++i) {
    if (dynamic_cast<const nn::Stitch*>(network.blocks()[i].module.get())) indices.push_back(i);
  }
  return indices;
}

void freeze_sources(nn::Network& network, bool train_head) {
  network.freeze(true);
  for (const size_t i : stitch_indices(network)) network.blocks()[i].module->freeze(false);
  if (train_head) network.head()->freeze(false);
}

}  // namespace kintsugi::zoo
