#include "kintsugi/apps/commands/commands.h"
#include "kintsugi/apps/plans.h"
#include "kintsugi/apps/progress.h"
#include "kintsugi/engine/core/context.h"
#include "kintsugi/zoo/assemble.h"
#include "kintsugi/zoo/proxies/naswot.h"

namespace kintsugi::apps::commands {

namespace {

struct Words {
  std::string in, out, solver = "labels", form = "linear", objective = "similarity", latency, data;
  std::string front, licences;
  std::vector<std::string> force, forbid;
  Budgets budgets;
  std::optional<double> max_latency;
  int64_t images = 64;
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
  std::vector<Option> all{
      required({"--partition", &words.in, "PARTITION.json"}),
      required({"--out", &words.out, "PLAN.json"}),
      objective,
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
