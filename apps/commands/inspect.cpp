#include <chrono>
#include <iostream>
#include <optional>

#include "kintsugi/apps/commands/commands.h"
#include "kintsugi/apps/json.h"
#include "kintsugi/apps/profile.h"
#include "kintsugi/apps/text.h"
#include "kintsugi/nn/blocks/stitch.h"
#include "kintsugi/zoo/load.h"

namespace kintsugi::apps::commands {

namespace {

Json cost_json(const nn::Cost& cost) {
  return {{"params", cost.params}, {"macs", cost.macs}};
}

std::string shape_text(const nn::FeatureShape& shape) {
  std::string text = std::to_string(shape.c) + "x" + std::to_string(shape.h) + "x" +
                     std::to_string(shape.w) + " " + nn::name_of(shape.kind);
  return shape.prefix_tokens ? text + " +" + std::to_string(shape.prefix_tokens) : text;
}

// One forward of noise, timed after another that warms buffers and primitives.
void print_kernels(nn::Network& network, int64_t batch_size) {
  using Clock = std::chrono::steady_clock;
  Generator generator(0);
  network.initialise(generator);
  const Shape& input = network.input();
  Tensor images = Tensor::empty({batch_size, input[0], input[1], input[2]}, DType::kF32,
                                Context::current().device, MemoryFormat::kChannelsLast);
  generator.normal(images, 0, 1);
  const autograd::NoGrad no_grad;
  network(nn::Variable(images));
  Context& context = Context::current();
  context.fallbacks.clear();
  const Profiler profiler;
  const auto start = Clock::now();
  network(nn::Variable(images));
  synchronize(context.device);
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  std::cout << fixed(1e3 * seconds, 1) << " ms for " << batch_size << " images, "
            << context.threads() << " threads\n"
            << profile_table(profiler, seconds, 1);
}

}  // namespace

int inspect(Session& session) {
  std::string what;
  bool kernels = false;
  int64_t batch_size = 1, size = 0;
  zoo::LoadOptions load;
  if (!session.parse(
          "A network's blocks with shapes, parameters and MACs.",
          {required(
               {"NETWORK", &what, "a catalog name, a weights file or hub folder, or a PLAN.json"}),
           {"--classes", &load.classes, "other than its own (0: its own)", "Options", false, 0},
           {"--img-size", &size, "height and width other than its own (0: its own)", "Options",
            false, 0},
           {"--kernels", &kernels, "run it once: time by operator, reference kernels marked"},
           {"--batch-size", &batch_size, "images of that run", "Options", false, 1}})) {
    return 0;
  }

  if (size > 0) load.size = {size, size};
  const zoo::LoadedNetwork loaded = zoo::open_network(what, load);
  nn::Network& network = *loaded.network;
  const nn::Cost total = network.cost(), stem = network.stem_cost(), head = network.head_cost();
  Json blocks = Json::array();
  std::vector<std::vector<std::string>> rows{{"block", "in", "out", "params", "MACs"}};
  rows.push_back({"stem", network.input().str(), shape_text(network.feature_at(0)),
                  count(stem.params), count(stem.macs)});
  for (size_t i = 0; i < network.blocks().size(); ++i) {
    const nn::Network::Block& block = network.blocks()[i];
    const nn::Cost cost = network.block_cost(int64_t(i));
    Json entry{{"name", block.name}, {"kind", nn::name_of(block.out.kind)}};
    if (!block.out.is_grid()) entry["prefix_tokens"] = block.out.prefix_tokens;
    if (block.in.kind != block.out.kind) entry["in_kind"] = nn::name_of(block.in.kind);
    entry.update(cost_json(cost));
    entry["in"] = json_of(block.in);
    entry["out"] = json_of(block.out);
    if (const auto* stitch = dynamic_cast<const nn::Stitch*>(block.module.get())) {
      entry["stitch"] = stitch->mode();
    }
    blocks.push_back(std::move(entry));
    rows.push_back({block.name, shape_text(block.in), shape_text(block.out), count(cost.params),
                    count(cost.macs)});
  }
  rows.push_back({"head", shape_text(network.feature_at(network.positions() - 1)),
                  std::to_string(network.classes()) +
                      (loaded.card.classes > 0 ? " classes" : " features"), count(head.params),
                  count(head.macs)});
  rows.push_back({"all", "", "", count(total.params), count(total.macs)});

  if (session.json()) {
    Json result{{"name", network.name()}};
    result.update(cost_json(total));
    result["input"] = json_of(network.input());
    result["classes"] = loaded.card.classes;
    result["stem"] = cost_json(stem);
    result["blocks"] = std::move(blocks);
    result["head"] = cost_json(head);
    if (!loaded.card.licence.empty()) result["licence"] = loaded.card.licence;
    if (!loaded.card.facts.empty()) result["facts"] = loaded.card.facts;
    std::cout << result.dump(1) << "\n";
    return 0;
  }
  std::cout << network.name() << "\n" << table(rows);
  for (const auto& [key, value] : loaded.card.facts) std::cout << key << ": " << value << "\n";
  if (kernels) print_kernels(network, batch_size);
  return 0;
}

}  // namespace kintsugi::apps::commands
