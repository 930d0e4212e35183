#include "kintsugi/apps/calibration.h"

#include <cmath>
#include <iostream>

#include "kintsugi/apps/commands/commands.h"
#include "kintsugi/apps/json.h"
#include "kintsugi/apps/text.h"

namespace kintsugi::apps::commands {

namespace {

std::string tau_text(double tau) {
  return std::isnan(tau) ? "-" : fixed(tau, 3);
}
Json tau_json(double tau) {
  return std::isnan(tau) ? Json() : Json(tau);
}

void print_table(const Calibration& result) {
  std::vector<std::vector<std::string>> rows{
      {"score", "tau, tuned", "tau, stitched", "tau, naswot", "seconds"}};
  for (const Calibration::Row& row : result.rows) {
    rows.push_back({row.name, tau_text(row.tuned), tau_text(row.stitched), tau_text(row.naswot),
                    row.seconds > 0 ? fixed(row.seconds, 3) : "-"});
  }
  std::cout
      << table(rows) << "Kendall's tau-b over " << result.assemblies.size()
      << " assemblies with the top-1 accuracy after training, that of the stitched network\n"
         "before it, and NASWOT of the assembled network. Unrelated scores stay below |tau| = "
      << fixed(result.chance, 3) << " in 95 of 100 cases.\n";
}

}  // namespace

int calibrate(Session& session) {
  CalibrationOptions options;
  std::string partition, data, out, names = "all", form = "linear";
  bool no_tuning = false;
  std::optional<int64_t> max_params, max_macs;
  options.training.epochs = 1;
  options.training.batch_size = 64;
  options.training.warmup_epochs = 0.25;
  Option stitch{"--stitch", &form, "the form of stitches", "Assemblies"};
  stitch.choices = {"linear", "dery"};
  std::vector<Option> all{
      required({"--partition", &partition, "PARTITION.json"}),
      required({"--data", &data, "a folder of images with a training and a test split"}),
      required({"--out", &out, "the table, JSON; written after every assembly"}),
      {"--proxy", &names, "names with commas between, or all"},
      {"--images", &options.images, "that a proxy sees, spread evenly over the classes", "Options",
       false, 2},
      {"--assemblies", &options.assemblies, "so many, spread over objective and size", "Assemblies",
       false, 2, 100000},
      {"--max-params", &max_params, "at most so many parameters", "Assemblies", false, 0},
      {"--max-macs", &max_macs, "at most so many multiply-adds an image", "Assemblies", false, 0},
      {"--max-per-model", &options.rules.max_per_model,
       "blocks of one network (0: half of K, rounded up)", "Assemblies", false, 0},
      stitch,
      {"--fresh-head", &options.rules.fresh_head, "a new linear head, not the last network's own",
       "Assemblies"},
      {"--fit-images", &options.fit_images, "that the stitches are fitted on", "Assemblies", false,
       2},
      {"--limit", &options.limit, "training images, the first of the seeded order (0: all)",
       "Options", false, 0},
      {"--test-images", &options.test_images, "the first of the seeded order (0: all)", "Options",
       false, 0},
      {"--no-tuning", &no_tuning, "measure the stitched networks only"},
      {"--fresh", &options.fresh, "start anew although there is a table"}};
  for (Option& option : options.training.options()) all.push_back(std::move(option));
  if (!session.parse(
          "Stitches many different assemblies of a zoo, scores them by every proxy, trains "
          "stitches and heads, and prints how well each score ranks the accuracies.",
          all)) {
    return 0;
  }
  if (max_params) options.rules.max_params = *max_params;
  if (max_macs) options.rules.max_macs = *max_macs;
  options.rules.form = nn::stitch_form(form);
  options.partition = partition;
  options.data = data;
  options.out = out;
  options.proxies = zoo::proxies_named(names);
  options.tune = !no_tuning;
  options.seed = options.training.seed = session.seed();
  const Calibration result = calibrate(options, session.stop());
  if (!session.json()) {
    print_table(result);
    return 0;
  }
  Json table = Json::array();
  for (const Calibration::Row& row : result.rows) {
    table.push_back({{"name", row.name},
                     {"tau",
                      {{"tuned", tau_json(row.tuned)},
                       {"stitched", tau_json(row.stitched)},
                       {"naswot", tau_json(row.naswot)}}},
                     {"seconds", row.seconds}});
  }
  std::cout << Json{{"assemblies", result.assemblies.size()},
                    {"chance", result.chance},
                    {"table", table}}
                   .dump()
            << "\n";
  return 0;
}

}  // namespace kintsugi::apps::commands
