#include "kintsugi/zoo/assemble.h"

#include "kintsugi/nn/blocks/heads.h"
#include "kintsugi/zoo/hub.h"

namespace kintsugi::zoo {

namespace {

using nn::FeatureShape;

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
      return load_network(part.architecture, part.weights,
                          {.channels = plan_.input[0], .seed = seed_}).network;
    }
    const Variant& variant = find_variant(part.architecture);
    BuildOptions options;
    options.input = variant.input;
    options.input[0] = plan_.input[0];
    options.naming = part.naming;
    return build_network(part.architecture, options);
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

void add_stitch(nn::Network& network, const PlanFile::Stitch& stitch, const FeatureShape& wanted,
                size_t index) {
  const FeatureShape now = network.feature_at(network.positions() - 1);
  auto module = std::make_shared<nn::Stitch>(now, wanted, nn::stitch_form(stitch.form));
  const FeatureShape out = module->out();
  const std::string name = "stitches." + std::to_string(index);
  network.add_block(name, std::move(module), name, &out);
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
    network->set_stem("stem", nn::dery_stem(plan.input[0], plan.stem.fresh_channels));
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
      const PlanFile::Block& before = plan.blocks[b - 1];
      const bool neighbours = before.model == block.model && before.last + 1 == block.first;
      if (stitch.none() && !neighbours) {
        fail(ErrorKind::kFormat, "plan: no stitch between blocks ", b, " and ", b + 1,
             ", which are no neighbours in one network");
      }
      if (!stitch.none()) add_stitch(*network, stitch, wanted, b - 1);
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

}  // namespace

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

std::vector<size_t> stitched_blocks(const PlanFile& plan) {
  std::vector<size_t> blocks;
  for (size_t s = 0; s < plan.stitches.size(); ++s) {
    if (!plan.stitches[s].none()) blocks.push_back(s + 1);
  }
  return blocks;
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
