#include <chrono>
#include <cmath>
#include <iostream>

#include "kintsugi/apps/commands/commands.h"
#include "kintsugi/apps/json.h"
#include "kintsugi/apps/progress.h"
#include "kintsugi/apps/text.h"
#include "kintsugi/zoo/assemble.h"
#include "kintsugi/zoo/catalog.h"
#include "kintsugi/zoo/datasets/subset.h"
#include "kintsugi/zoo/proxies/proxies.h"

namespace kintsugi::apps::commands {

namespace {

// A plan, weights, or a name of the catalog: such a network stands at its initial weights.
struct Subject {
  zoo::LoadedNetwork loaded;
  std::optional<zoo::PlanFile> plan;

  Subject(const std::string& what, int64_t classes, uint64_t seed) {
    if (!std::filesystem::exists(what)) {
      loaded = zoo::fresh_network(what, {.classes = classes > 0 ? classes : -1}, seed);
    } else if (what.ends_with(".json") && !what.ends_with(".index.json")) {
      plan = zoo::read_plan(what);
      loaded = zoo::load_plan(*plan, seed);
    } else {
      loaded = zoo::open_network(what);
    }
  }
};

std::string score_text(double value) {
  if (std::isinf(value)) return "-inf";
  char text[32];
  std::snprintf(text, sizeof text, "%.5g", value);
  return text;
}

}  // namespace

int score(Session& session) {
  std::vector<std::string> networks;
  std::string names = "all", folder, split = "train";
  int64_t images = 64, fit_images = 0;
  Option which{"--split", &split, "the images"};
  which.choices = {"train", "test"};
  if (!session.parse(
          "Scores of networks without training: the greater, the better a network is held to "
          "become. In evaluation mode, on the same number of images of every class.",
          {required({"networks", &networks, "plans, weights, or names of the catalog"}),
           required({"--data", &folder, "a folder of images"}),
           {"--proxy", &names, "names with commas between, or all"},
           {"--images", &images, "that a proxy sees", "Options", false, 2},
           {"--fit-images", &fit_images,
            "first fit a plan's stitches by least squares on so many images (0: do not)", "Options",
            false, 0},
           which})) {
    return 0;
  }
  const std::vector<const zoo::Proxy*> proxies = zoo::proxies_named(names);
  const std::shared_ptr<const zoo::Dataset> data =
      zoo::open_dataset(folder, split == "test" ? zoo::Split::kTest : zoo::Split::kTrain);
  const auto sample = zoo::stratified_sample(*data, images, session.seed());
  const auto classes = int64_t(data->classes().size());

  Progress progress("score");
  std::vector<std::string> header{"network", "params", "MACs"};
  for (const zoo::Proxy* proxy : proxies) header.push_back(proxy->name);
  std::vector<std::vector<std::string>> rows{header};
  Json result = Json::array();
  for (size_t i = 0; i < networks.size(); ++i) {
    const Subject subject(networks[i], classes, session.seed());
    nn::Network& network = *subject.loaded.network;
    if (network.classes() < classes) {
      fail(ErrorKind::kUsage, networks[i], ": ", network.classes(), " classes, the images have ",
           classes);
    }
    if (subject.plan && fit_images > 0) {
      zoo::fit_stitches(network, *subject.plan, data, fit_images, session.seed(), {},
                        session.stop());
    }
    const nn::Cost cost = network.cost();
    const zoo::ProxyBatch batch =
        zoo::proxy_batch(data, sample, network.input(), subject.loaded.card.preprocessing);
    std::vector<std::string> row{networks[i], count(cost.params), count(cost.macs)};
    Json scores = Json::object(), seconds = Json::object();
    for (size_t p = 0; p < proxies.size(); ++p) {
      if (session.stop().stop_requested()) fail(ErrorKind::kInterrupted, "stopped");
      progress.update((double(i) + double(p) / double(proxies.size())) / double(networks.size()),
                      networks[i] + ": " + proxies[p]->name);
      if (names == "all" && proxies[p]->needs_plan && !subject.plan) {
        row.push_back("-");
        continue;
      }
      const auto start = std::chrono::steady_clock::now();
      const double value =
          zoo::score(*proxies[p], network, batch, subject.plan ? &*subject.plan : nullptr);
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
      row.push_back(score_text(value));
      scores[proxies[p]->name] = std::isfinite(value) ? Json(value) : Json();
      seconds[proxies[p]->name] = took.count();
    }
    rows.push_back(std::move(row));
    result.push_back({{"network", networks[i]},
                      {"params", cost.params},
                      {"macs", cost.macs},
                      {"images", batch.images.size(0)},
                      {"scores", scores},
                      {"seconds", seconds}});
  }
  if (session.json())
    std::cout << result.dump() << "\n";
  else
    std::cout << table(rows);
  return 0;
}

}  // namespace kintsugi::apps::commands
