#include "kintsugi/apps/demo.h"

#include <iostream>

#include "kintsugi/apps/commands/commands.h"
#include "kintsugi/apps/json.h"
#include "kintsugi/apps/paths.h"
#include "kintsugi/apps/progress.h"
#include "kintsugi/apps/text.h"

namespace kintsugi::apps::commands {

namespace {

Json to_json(const Findings& f) {
  const bool found = !f.plan.blocks.empty();
  const auto or_null = [&](const auto& value) { return found ? Json(value) : Json(); };
  Json zoo = Json::array(), blocks = Json::array();
  for (const Findings::Member& m : f.zoo) {
    zoo.push_back({{"name", m.name},
                   {"family", m.family},
                   {"params", m.params},
                   {"macs", m.macs},
                   {"top1", m.top1},
                   {"weights", m.weights}});
  }
  for (const auto& block : f.plan.blocks) {
    blocks.push_back({{"model", block.model}, {"first", block.first}, {"last", block.last}});
  }
  return {{"zoo", zoo},
          {"partition",
           {{"k", f.partition.k},
            {"objective", f.partition.objective},
            {"bound", f.partition.bound},
            {"gap", f.partition.gap},
            {"seconds", f.partition.seconds}}},
          {"reassembly",
           {{"objective", or_null(f.plan.objective)},
            {"bound", or_null(f.plan.bound)},
            {"gap", or_null(f.plan.gap)},
            {"seconds", f.reassembly_seconds},
            {"budget", {{"params", f.max_params}, {"macs", f.max_macs}}},
            {"params", or_null(f.plan.params)},
            {"macs", or_null(f.plan.macs)},
            {"blocks", blocks}}},
          {"top1",
           {{"stitched", or_null(f.stitched)},
            {"freeze", or_null(f.freeze)},
            {"full", or_null(f.full)},
            {"scratch", or_null(f.scratch)},
            {"best_zoo_member", f.best_member ? Json(f.best_member->finetuned) : Json()}}},
          {"epochs", f.epochs},
          {"images", f.train_images},
          {"seconds", f.seconds}};
}

void print_tables(const Findings& f) {
  using Rows = std::vector<std::vector<std::string>>;
  Rows zoo{{"the zoo", "params", "MACs", "top-1 %"}};
  for (const Findings::Member& m : f.zoo) {
    zoo.push_back({m.name, count(m.params), count(m.macs), fixed(m.top1, 2)});
  }
  const std::string params = count(f.plan.params), macs = count(f.plan.macs);
  Rows result{{"trained " + std::to_string(f.epochs) + " epochs on " +
                   std::to_string(f.train_images) + " images",
               "params", "MACs", "top-1 %"},
              {"reassembled, stitches fitted, untrained", params, macs, fixed(f.stitched, 2)},
              {"reassembled, stitches and head trained", params, macs, fixed(f.freeze, 2)},
              {"reassembled, everything trained", params, macs, fixed(f.full, 2)},
              {"the same from random weights", params, macs, fixed(f.scratch, 2)}};
  if (f.best_member) {
    for (const Findings::Member& m : f.zoo) {
      if (m.name != f.best_member->name) continue;
      result.push_back({"best zoo member within the budget, " + m.name + ", as shipped",
                        count(m.params), count(m.macs), fixed(f.best_member->shipped, 2)});
      result.push_back({"the same member fine-tuned", count(m.params), count(m.macs),
                        fixed(f.best_member->finetuned, 2)});
    }
  }
  std::cout << table(zoo) << "\npartition into " << f.partition.k << " sets: objective "
            << fixed(f.partition.objective, 4) << ", bound " << fixed(f.partition.bound, 4)
            << ", gap " << fixed(100 * f.partition.gap, 3) << " %, "
            << fixed(f.partition.seconds, 2) << " s";
  if (f.partition.heuristic) {
    std::cout << "; the paper's heuristic: " << fixed(f.partition.heuristic->objective, 4);
  }
  std::cout << "\nreassembly (" << f.status << "): " << blocks_text(f.plan) << "\n  objective "
            << fixed(f.plan.objective, 4) << ", bound " << fixed(f.plan.bound, 4) << ", gap "
            << fixed(100 * f.plan.gap, 3) << " %, " << fixed(f.reassembly_seconds, 3)
            << " s; budget " << count(f.max_params) << " parameters, " << count(f.max_macs)
            << " MACs\n\n"
            << table(result) << "\n";
  for (const std::string& sentence : conclusions(f)) std::cout << sentence << "\n";
}

}  // namespace

int demo(Session& session) {
  DemoOptions options;
  std::string out = "kintsugi-demo", data, zoo, pick = "objective";
  Option by{"--pick", &pick, "which of the best plans is built: by objective or by a proxy"};
  by.choices = {"objective"};
  for (const zoo::Proxy& proxy : zoo::proxies()) by.choices.push_back(proxy.name);
  if (!session.parse(
          "The main job, whole: measures a zoo, compares and cuts its networks, reassembles blocks "
          "within a budget, trains the result, and holds it against honest baselines.",
          {{"--out", &out, "folder for the report, the plans and the weights"},
           {"--data", &data, "images with two splits (default: the shipped ones)"},
           {"--zoo", &zoo, "ZOO.json (default: the shipped zoo)"},
           {"-k", &options.k, "blocks", "Reassembly", false, 2, 1000},
           {"--epsilon", &options.epsilon, "how uneven blocks may be", "Reassembly", false, 0},
           {"--max-params", &options.max_params, "budget (default: the zoo's median)", "Reassembly",
            false, 0},
           {"--max-macs", &options.max_macs, "budget (default: the zoo's median)", "Reassembly",
            false, 0},
           {"--candidates", &options.candidates, "plans that are listed with a score", "Reassembly",
            false, 1, 1000},
           by,
           {"--epochs", &options.epochs, "of everything that is trained", "Training", false, 1},
           {"--limit", &options.limit, "training images (0: all)", "Training", false, 0},
           {"--fit-images", &options.fit_images, "that the stitches are fitted on", "Training",
            false, 2},
           {"--similarity-images", &options.similarity_images, "that networks are compared on",
            "Options", false, 4}})) {
    return 0;
  }
  options.zoo = zoo.empty() ? find_share() / "zoo.json" : std::filesystem::path(zoo);
  options.data = data.empty() ? find_share() / "fashion-mnist" : std::filesystem::path(data);
  options.out = out;
  options.seed = session.seed();
  options.pick_by_proxy = pick != "objective";
  if (options.pick_by_proxy) options.proxy = pick;
  const Findings findings = run_demo(options, session.stop());
  if (session.json()) std::cout << to_json(findings).dump() << "\n";
  if (findings.plan.blocks.empty()) {
    say(session, findings.reason);
    return 1;
  }
  if (!session.json()) print_tables(findings);
  const std::string page = (options.out / "report.html").string();
  say(session, page + ", " + duration(findings.seconds));
  return 0;
}

}  // namespace kintsugi::apps::commands
