#include "kintsugi/zoo/stitch_graph.h"

#include "kintsugi/apps/commands/commands.h"
#include "kintsugi/apps/plans.h"
#include "kintsugi/apps/progress.h"
#include "kintsugi/engine/core/error.h"

namespace kintsugi::apps::commands {

namespace {

// "NAME=VALUE" words.
std::map<std::string, double> values_of(const std::vector<std::string>& words) {
  std::map<std::string, double> values;
  for (const std::string& word : words) {
    const size_t equals = word.rfind('=');
    size_t used = 0;
    double value = 0;
    try {
      value = std::stod(equals == std::string::npos ? "" : word.substr(equals + 1), &used);
    } catch (const std::exception&) {
    }
    if (used == 0 || equals + 1 + used != word.size() || !(value >= 0 && value <= 1e6)) {
      fail(ErrorKind::kUsage, "--quality: got '", word, "', expected NAME=VALUE, 0 or more");
    }
    values[word.substr(0, equals)] = value;
  }
  return values;
}

}  // namespace

int stitch_graph(Session& session) {
  std::string in, out, form = "linear", costs = "params,macs", licences;
  std::vector<std::string> quality, forbid;
  zoo::StitchGraphOptions options;
  Budgets budgets;
  int64_t best = 1;
  double seconds = 0;
  Option stitch{"--stitch", &form, "the form of stitches"};
  stitch.choices = {"linear", "dery"};
  std::vector<Option> words{
      required({"--similarity", &in, "SIM.json"}),
      required({"--out", &out, "PLAN.json"}),
      {"--max-stitches", &options.max_stitches, "in one network", "Options", false, 0, 64},
      {"--min-stitches", &options.min_stitches, "in one network", "Options", false, 0, 64},
      {"--depth-slack", &options.depth_slack,
       "how far apart in relative depth a stitch's ends may be", "Options", false, 0, 1},
      {"--front", &costs,
       "no network of the answer beats another in the objective and these costs"},
      {"--quality", &quality,
       "what each network is worth whole: NAME=0.8 ... (default: the top-1 of its weights' card)"},
      stitch,
      {"--fresh-head", &options.fresh_head, "a new linear head, not the last network's own"},
      {"--classes", &options.classes, "of the new network (0: the zoo's)", "Options", false, 0},
      {"--best", &best, "so many plans as files, best first: PLAN.json, PLAN.2.json, ...",
       "Options", false, 1, 100000},
      {"--time-limit", &seconds, "seconds; what is found counts then (0: none)", "Options", false,
       0},
      {"--grids-before-tokens", &options.grids_before_tokens, "never go back to a grid", "Rules"},
      {"--licences", &licences, "the only ones allowed: MIT,Apache-2.0", "Rules"},
      {"--forbid", &forbid, "networks that must not take part", "Rules"}};
  for (Option& option : budget_options(budgets)) words.push_back(std::move(option));
  if (!session.parse(
          "Partition and reassembly at once: of all networks made of runs of nodes with few "
          "stitches those that no other beats. The objective is the mean quality over depth less "
          "the dissimilarity at each stitch.",
          std::move(words))) {
    return 0;
  }
  options.form = nn::stitch_form(form);
  options.costs = split(costs);
  options.licences = split(licences);
  options.forbid = forbid;
  options.quality = values_of(quality);
  if (budgets.params) options.budgets["params"] = double(*budgets.params);
  if (budgets.macs) options.budgets["macs"] = double(*budgets.macs);
  if (budgets.bytes) options.budgets["bytes"] = double(*budgets.bytes);
  const zoo::SimilarityFile similarity = zoo::read_similarity(in);
  Progress progress("stitch graph");
  solvers::Control control;
  if (seconds > 0) control.seconds = seconds;
  control.stop = session.stop();
  control.progress = [&](double done) { progress.update(done); };
  const zoo::StitchGraph graph = zoo::stitch_graph(similarity, options, control);
  bool worthless = true;
  for (const auto& [name, value] : graph.quality) worthless &= value == 0;
  if (worthless) {
    say(session,
        "warning: no quality of the networks is known, so only stitches count; see --quality");
  }
  return finish(session,
                {.status = graph.result.complete ? "optimal" : "feasible",
                 .objective = graph.plans.empty() ? 0 : graph.plans[0].objective,
                 .bound = graph.result.bound,
                 .gap = graph.result.gap,
                 .seconds = graph.result.seconds,
                 .reason = graph.result.reason,
                 .remedies = graph.result.remedies,
                 .plans = graph.plans,
                 .front = options.costs},
                out, size_t(best));
}

}  // namespace kintsugi::apps::commands
