#include "kintsugi/apps/commands/commands.h"
#include "kintsugi/apps/plans.h"
#include "kintsugi/apps/progress.h"
#include "kintsugi/apps/text.h"
#include "kintsugi/engine/core/context.h"
#include "kintsugi/zoo/assemble.h"
#include "kintsugi/zoo/dery_search.h"
#include "kintsugi/zoo/proxies/naswot.h"

namespace kintsugi::apps::commands {

namespace {

struct Words {
  std::string in, out, solver = "labels", form = "linear", objective = "similarity", latency, data;
  std::string compat = "none";
  std::string front, licences;
  std::vector<std::string> force, forbid;
  Budgets budgets;
  std::optional<double> max_latency;
  std::optional<int64_t> min_params, min_macs;
  int64_t images = 64, trials = 10;
  double seconds = 0;
};

std::vector<Option> options_of(Words& words, zoo::ReassembleOptions& options) {
  Option by{"--solver", &words.solver, "labels (own), glpk or exhaustive"};
  by.choices = {"labels", "glpk", "exhaustive"};
  Option stitch{"--stitch", &words.form, "the form of stitches"};
  stitch.choices = {"linear", "dery"};
  Option objective{"--objective", &words.objective,
                   "of blocks to anchors and of stitches, or NASWOT of the blocks at home (needs "
                   "--data)"};
  objective.choices = {"similarity", "naswot"};
  Option compat{"--compat", &words.compat,
                "dery: the reference's random search, faults included and counted (needs --data)",
                "The reference's way"};
  compat.choices = {"none", "dery"};
  std::vector<Option> all{
      required({"--partition", &words.in, "PARTITION.json"}),
      required({"--out", &words.out, "PLAN.json"}),
      objective,
      compat,
      {"--trials", &words.trials, "passes over all blocks", "The reference's way", false, 1},
      {"--min-params", &words.min_params, "more than so many parameters", "The reference's way",
       false, 0},
      {"--min-macs", &words.min_macs, "more than so many multiply-adds", "The reference's way",
       false, 0},
      {"--data", &words.data, "images for NASWOT: a folder"},
      {"--images", &words.images, "of them, the same number of every class", "Options", false, 2},
      {"--front", &words.front,
       "all plans that no other beats in the objective and these costs: params,macs[,bytes]"},
      stitch,
      {"--fresh-head", &options.fresh_head, "a new linear head, not the last network's own"},
      {"--classes", &options.classes, "of the new network (0: the zoo's)", "Options", false, 0},
      by,
      {"--best", &options.best, "so many plans, best first: PLAN.json, PLAN.2.json, ...", "Options",
       false, 1, 10000},
      {"--diversity", &options.diversity, "each differs from the earlier in so many blocks",
       "Options", false, 1},
      {"--time-limit", &words.seconds, "seconds; the best found counts then (0: none)", "Options",
       false, 0},
      {"--max-activation-bytes", &words.budgets.activation_bytes,
       "at most so many at once, for one image", "Budget", false, 0},
      {"--max-latency", &words.max_latency, "at most so many milliseconds, by --latency", "Budget",
       false, 0},
      {"--latency", &words.latency, "LATENCY.json of kintsugi latency", "Budget"},
      {"--max-per-model", &options.max_per_model,
       "blocks of one network (0: half of K, rounded up)", "Rules", false, 0},
      {"--max-sources", &options.max_sources, "checkpoints that give blocks (0: any number)",
       "Rules", false, 0},
      {"--grids-before-tokens", &options.grids_before_tokens, "never go back to a grid", "Rules"},
      {"--licences", &words.licences, "the only ones allowed: MIT,Apache-2.0", "Rules"},
      {"--force", &words.force, "blocks that must be there: NAME:FIRST-LAST", "Rules"},
      {"--forbid", &words.forbid, "blocks or networks that must not: NAME[:FIRST-LAST]", "Rules"}};
  for (Option& option : budget_options(words.budgets)) all.push_back(std::move(option));
  return all;
}

void fill(const Session& session, const Words& words, zoo::ReassembleOptions& options) {
  const auto set = [](int64_t& to, const std::optional<int64_t>& from) {
    if (from) to = *from;
  };
  set(options.max_params, words.budgets.params);
  set(options.max_macs, words.budgets.macs);
  set(options.max_bytes, words.budgets.bytes);
  set(options.max_activation_bytes, words.budgets.activation_bytes);
  options.solver = solvers::parse_reassembly_solver(words.solver);
  options.form = nn::stitch_form(words.form);
  options.licences = split(words.licences);
  options.force = words.force;
  options.forbid = words.forbid;
  if (words.max_latency && words.latency.empty()) {
    fail(ErrorKind::kUsage,
         "--max-latency: got no --latency, expected a table of kintsugi latency");
  }
  if (!words.latency.empty()) {
    options.latency = zoo::read_latency(words.latency);
    if (words.max_latency) options.max_latency_ms = *words.max_latency;
    const int64_t threads = Context::current().threads();
    if (options.latency->threads != threads) {
      say(session, "warning: the latencies were measured with " +
                       std::to_string(options.latency->threads) + " threads, this run has " +
                       std::to_string(threads));
    }
  }
  if (words.objective == "naswot" && words.data.empty()) {
    fail(ErrorKind::kUsage, "--objective naswot: got no --data, expected a folder of images");
  }
  const bool one_answer = !words.front.empty() || words.objective == "naswot";
  if (one_answer && words.solver != "labels") {
    fail(ErrorKind::kUsage, "--solver: got '", words.solver,
         "', expected labels: ", words.front.empty() ? "NASWOT" : "the front",
         " has a solver of its own");
  }
  if (words.objective == "naswot" && (!words.front.empty() || options.best > 1)) {
    fail(ErrorKind::kUsage, "--objective naswot: expected neither --front nor --best");
  }
}

zoo::Reassembly by_naswot(Session& session, const Words& words, const zoo::PartitionFile& partition,
                          const zoo::ReassembleOptions& options, solvers::Control control) {
  Progress measuring("kernels");
  auto kernels = zoo::block_kernels(
      partition, zoo::open_dataset(words.data, zoo::Split::kTrain),
      {.images = words.images, .fresh_head = options.fresh_head, .seed = session.seed()},
      [&](double done) { measuring.update(done); }, session.stop());
  return zoo::reassemble_naswot(partition, options, std::move(kernels), control);
}

// Answered like any other, with what it breaks beside it.
int by_reference(Session& session, const Words& words, const zoo::PartitionFile& partition,
                 const zoo::ReassembleOptions& options, const solvers::Control& control) {
  const zoo::ReassembleOptions none;
  if (words.data.empty()) {
    fail(ErrorKind::kUsage, "--compat dery: got no --data, expected a folder of images");
  }
  if (!words.front.empty() || words.objective != "similarity" || words.solver != "labels" ||
      options.best > 1 || options.max_bytes != none.max_bytes || options.latency ||
      options.max_activation_bytes != none.max_activation_bytes || options.max_per_model > 0 ||
      options.max_sources > 0 || options.grids_before_tokens || !options.licences.empty() ||
      !options.force.empty() || !options.forbid.empty()) {
    fail(ErrorKind::kUsage,
         "--compat dery: the reference knows budgets of parameters and MACs, and nothing else");
  }
  zoo::DerySearchOptions search{
      .trials = words.trials, .classes = options.classes, .seed = session.seed()};
  const auto set = [](double& to, const std::optional<int64_t>& from) {
    if (from) to = double(*from);
  };
  set(search.least.params, words.min_params);
  set(search.least.macs, words.min_macs);
  set(search.most.params, words.budgets.params);
  set(search.most.macs, words.budgets.macs);
  const std::shared_ptr<const zoo::Dataset> data =
      zoo::open_dataset(words.data, zoo::Split::kTrain);
  const zoo::DeryReassembly found = zoo::reassemble_dery(partition, data, search, control);
  const solvers::compat::DerySearchResult& result = found.result;
  say(session, "the reference's search: " + std::to_string(result.built) + " networks built, " +
                   std::to_string(result.in_budget) + " within the budgets, the best scored at " +
                   count(int64_t(found.cost.params)) + " parameters and " +
                   count(int64_t(found.cost.macs)) + " MACs; what it breaks: " +
                   std::to_string(result.shared_sets) + " sets that give several blocks, " +
                   std::to_string(result.overlaps) + " pairs of overlapping blocks, " +
                   std::to_string(result.strides_changed) +
                   " stitches saved with another stride than was scored");
  const double unproven = std::numeric_limits<double>::infinity();
  return finish(session,
                {.status = "feasible",
                 .objective = result.score,
                 .bound = unproven,
                 .gap = unproven,
                 .seconds = result.seconds,
                 .reason = "",
                 .remedies = {},
                 .plans = {found.plan},
                 .front = {},
                 .reference = {{"built", double(result.built)},
                               {"in_budget", double(result.in_budget)},
                               {"shared_sets", double(result.shared_sets)},
                               {"overlaps", double(result.overlaps)},
                               {"strides_changed", double(result.strides_changed)},
                               {"scored_params", found.cost.params},
                               {"scored_macs", found.cost.macs}}},
                words.out, 1);
}

}  // namespace

int reassemble(Session& session) {
  Words words;
  zoo::ReassembleOptions options;
  if (!session.parse(
          "The best network of one block a set within budgets, stem, stitches and head counted.",
          options_of(words, options))) {
    return 0;
  }
  fill(session, words, options);
  const zoo::PartitionFile partition = zoo::read_partition(words.in);
  Progress progress("reassemble");
  solvers::Control control;
  if (words.seconds > 0) control.seconds = words.seconds;
  control.stop = session.stop();
  control.progress = [&](double done) { progress.update(done); };
  if (words.compat == "dery") return by_reference(session, words, partition, options, control);
  if (words.min_params || words.min_macs) {
    fail(ErrorKind::kUsage, "--min-params and --min-macs: expected --compat dery beside them");
  }
  if (!words.front.empty()) {
    const std::vector<std::string> costs = split(words.front);
    const zoo::ReassemblyFront front = zoo::reassemble_front(partition, options, costs, control);
    Answer answer{.status = front.result.complete ? "optimal" : "feasible",
                  .objective = front.plans.empty() ? 0 : front.plans[0].objective,
                  .bound = front.result.bound,
                  .gap = front.result.gap,
                  .seconds = front.result.seconds,
                  .reason = front.result.reason,
                  .remedies = front.result.remedies,
                  .plans = front.plans,
                  .front = costs};
    return finish(session, answer, words.out, size_t(options.best));
  }
  const zoo::Reassembly found = words.objective == "naswot"
                                    ? by_naswot(session, words, partition, options, control)
                                    : zoo::reassemble(partition, options, control);
  const solvers::ReassemblyResult& result = found.result;
  return finish(session,
                {.status = to_string(result.status),
                 .objective = result.objective,
                 .bound = result.bound,
                 .gap = result.gap,
                 .seconds = result.seconds,
                 .reason = result.reason,
                 .remedies = result.remedies,
                 .plans = found.plans,
                 .front = {}},
                words.out, found.plans.size());
}

}  // namespace kintsugi::apps::commands
