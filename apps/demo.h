// The main job from end to end: a zoo is measured, compared, cut, reassembled under a budget,
// trained and held against honest baselines.
#pragma once

#include <filesystem>
#include <optional>
#include <stop_token>

#include "kintsugi/apps/report/findings.h"
#include "kintsugi/zoo/proxies/proxies.h"

namespace kintsugi::apps {

struct DemoOptions {
  std::filesystem::path zoo;   // ZOO.json
  std::filesystem::path data;  // a data set of two splits
  std::filesystem::path out;   // a folder; made
  int64_t k = 4;
  double epsilon = 0.2;
  std::optional<int64_t> max_params, max_macs;  // none: the zoo's median
  int64_t epochs = 2;                           // of everything that is trained
  int64_t limit = 0;                            // training images; 0: all
  int64_t similarity_images = 1024;
  int64_t fit_images = 1024;
  int64_t candidates = 8;  // so many best plans are listed, with a proxy's score
  std::string proxy = zoo::kDefaultProxy;
  bool pick_by_proxy = false;  // which of them is built: by the proxy, else by the objective
  uint64_t seed = 0;
};

// Writes similarity.json, partition.json, plan.json, the trained weights with their plans, and
// report.html into `out`. Where no plan fits the budget, the findings say "infeasible" and why, and
// nothing is trained. Progress goes to standard error.
Findings run_demo(const DemoOptions& options, std::stop_token stop);

}  // namespace kintsugi::apps
