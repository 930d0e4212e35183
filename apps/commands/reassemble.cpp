#include <iostream>
#include <sstream>

#include "kintsugi/apps/commands/commands.h"
#include "kintsugi/apps/json.h"
#include "kintsugi/apps/progress.h"
#include "kintsugi/apps/text.h"
#include "kintsugi/zoo/assemble.h"

namespace kintsugi::apps::commands {

namespace {

Json result_json(const zoo::Reassembly& reassembly) {
  const solvers::ReassemblyResult& result = reassembly.result;
  Json json{{"status", to_string(result.status)}};
  if (reassembly.plans.empty()) {
    json["objective"] = nullptr;
    json["bound"] = nullptr;
    json["gap"] = nullptr;
    json["seconds"] = result.seconds;
    json["params"] = nullptr;
    json["macs"] = nullptr;
    json["blocks"] = Json::array();
    json["reason"] = result.reason;
    return json;
  }
  const zoo::PlanFile& plan = reassembly.plans.front();
  json["objective"] = plan.objective;
  json["bound"] = result.bound;
  json["gap"] = result.gap;
  json["seconds"] = result.seconds;
  json["params"] = plan.params;
  json["macs"] = plan.macs;
  json["blocks"] = Json::array();
  for (const auto& block : plan.blocks) {
    json["blocks"].push_back(
        {{"model", block.model}, {"first", block.first}, {"last", block.last}});
  }
  return json;
}

std::vector<std::string> row_of(const zoo::PlanFile& plan) {
  std::string blocks;
  for (const auto& block : plan.blocks) {
    blocks += (blocks.empty() ? "" : " | ") + block.model + " " + std::to_string(block.first) +
              "-" + std::to_string(block.last);
  }
  return {fixed(plan.objective, 4), count(plan.params), count(plan.macs), blocks};
}

// PLAN.json, PLAN.2.json, PLAN.3.json, ...
std::filesystem::path numbered(const std::filesystem::path& path, size_t index) {
  if (index == 0) return path;
  const std::string end = path.extension().string();
  std::ostringstream name;
  name << path.stem().string() << "." << index + 1 << end;
  return path.parent_path() / name.str();
}

}  // namespace

int reassemble(Session& session) {
  std::string in, out, solver = "labels", form = "linear";
  std::optional<int64_t> max_params, max_macs;
  zoo::ReassembleOptions options;
  double seconds = 0;
  Option by{"--solver", &solver, "labels (own), glpk or exhaustive"};
  by.choices = {"labels", "glpk", "exhaustive"};
  Option stitch{"--stitch", &form, "the form of stitches"};
  stitch.choices = {"linear", "dery"};
  if (!session.parse(
          "The best network of one block a set within budgets of parameters and MACs, stem, "
          "stitches and head counted.",
          {required({"--partition", &in, "PARTITION.json"}),
           required({"--out", &out, "PLAN.json"}),
           {"--max-params", &max_params, "at most so many parameters", "Budget", false, 0},
           {"--max-macs", &max_macs, "at most so many multiply-adds an image", "Budget", false, 0},
           {"--max-per-model", &options.max_per_model,
            "blocks of one network (0: half of K, rounded up)", "Budget", false, 0},
           {"--grids-before-tokens", &options.grids_before_tokens, "never go back to a grid",
            "Budget"},
           stitch,
           {"--fresh-head", &options.fresh_head, "a new linear head, not the last network's own"},
           {"--classes", &options.classes, "of the new network (0: the zoo's)", "Options", false,
            0},
           by,
           {"--best", &options.best, "so many plans, best first: PLAN.json, PLAN.2.json, ...",
            "Options", false, 1, 10000},
           {"--diversity", &options.diversity, "each differs from the earlier in so many blocks",
            "Options", false, 1},
           {"--time-limit", &seconds, "seconds; the best found counts then (0: none)", "Options",
            false, 0}})) {
    return 0;
  }
  if (max_params) options.max_params = *max_params;
  if (max_macs) options.max_macs = *max_macs;
  options.solver = solvers::parse_reassembly_solver(solver);
  options.form = nn::stitch_form(form);
  const zoo::PartitionFile partition = zoo::read_partition(in);
  Progress progress("reassemble");
  solvers::Control control;
  if (seconds > 0) control.seconds = seconds;
  control.stop = session.stop();
  control.progress = [&](double done) { progress.update(done); };
  const zoo::Reassembly result = zoo::reassemble(partition, options, control);
  if (session.json()) std::cout << result_json(result).dump() << "\n";
  if (result.plans.empty()) {
    say(session, result.result.reason);
    return 1;
  }
  for (size_t i = 0; i < result.plans.size(); ++i) {
    zoo::write_plan(numbered(out, i), result.plans[i]);
  }
  if (session.json()) return 0;
  std::vector<std::vector<std::string>> rows{{"objective", "params", "MACs", "blocks"}};
  for (const zoo::PlanFile& plan : result.plans) rows.push_back(row_of(plan));
  std::cout << to_string(result.result.status) << ", bound " << fixed(result.result.bound, 4)
            << ", gap " << fixed(100 * result.result.gap, 3) << " %, "
            << fixed(result.result.seconds, 2) << " s\n"
            << table(rows, false);
  return 0;
}

}  // namespace kintsugi::apps::commands
