#include <iostream>
#include <map>

#include "kintsugi/apps/commands/commands.h"
#include "kintsugi/apps/progress.h"
#include "kintsugi/apps/text.h"
#include "kintsugi/zoo/partition.h"

namespace kintsugi::apps::commands {

namespace {

void warn_of_forced_cuts(const Session& session, const zoo::SimilarityFile& file,
                         const zoo::PartitionOptions& options) {
  const zoo::SimilarityFile kept = zoo::without_forbidden(file, options);
  const std::vector<uint64_t> counts =
      solvers::count_partitions(zoo::partition_problem(kept, options));
  for (size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] != 1) continue;
    say(session, "warning: " + kept.models[i].name + " can be cut in only one way: epsilon " +
                     fixed(options.epsilon, 2) +
                     " and the rules decide its cuts, not the similarity");
  }
}

// To standard error: with --json the same numbers stand in the file.
void say_reference(const Session& session, const zoo::PartitionFile& file) {
  const zoo::PartitionFile::Reference& r = *file.reference;
  size_t blocks = 0;
  for (const auto& cuts : file.cuts) blocks += cuts.size() + 1;
  say(session, "the reference: objective " + fixed(file.objective, 4) + " in " +
                   fixed(file.seconds, 2) + " s; exact, within the rules: " +
                   fixed(r.exact_objective, 4) + " in " + fixed(r.exact_seconds, 2) + " s");
  say(session, "what it breaks: " + std::to_string(r.over_size) + " of " + std::to_string(blocks) +
                   " blocks exceed the size bound (its own is " + std::to_string(r.cap) +
                   " nodes for every network), " + std::to_string(r.stale_centres) + " of " +
                   std::to_string(file.k) + " centres are no block of the partition, " +
                   std::to_string(r.overlaps) + " pairs of entries share nodes");
  say(session, "its own count is " + fixed(r.total, 4) + ", of " + fixed(r.best_total, 4) +
                   " that it met and lost");
}

}  // namespace

int partition(Session& session) {
  std::string in, out, size_bound = "ceil", size = "nodes", solver = "own", compat = "none";
  zoo::PartitionOptions options;
  double seconds = 0;
  bool no_heuristic = false;
  Option bound{"--size-bound", &size_bound, "of a block: ceil((1+e)L/K), or the paper's <"};
  bound.choices = {"ceil", "strict"};
  Option counts{"--size", &size, "what a block's size counts"};
  counts.choices = {"nodes", "params", "macs"};
  Option by{"--solver", &solver, "own (branch and bound), glpk or exhaustive: for small zoos"};
  by.choices = {"own", "glpk", "exhaustive"};
  Option as{"--compat", &compat, "dery: as the reference does it, faults included and counted"};
  as.choices = {"none", "dery"};
  if (!session.parse(
          "Cuts every network into K blocks of consecutive nodes so that the blocks of a set are "
          "as similar to the set's anchor as can be; exact, with a proven bound.",
          {required({"--similarity", &in, "SIM.json"}),
           required({"--out", &out, "PARTITION.json"}),
           {"-k", &options.k, "sets, and blocks of each network", "Options", false, 1, 1000},
           {"--epsilon", &options.epsilon, "how uneven blocks may be", "Options", false, 0},
           bound,
           counts,
           {"--free-sets", &options.free_sets,
            "every block stands in the set whose anchor it is most like, whatever its depth"},
           {"--blocks", &options.blocks, "NAME=N ...: fewer blocks of these networks", "Rules"},
           {"--cut", &options.must_cut, "NAME:PLACE ...: cut after this node (number or name)",
            "Rules"},
           {"--no-cut", &options.must_not_cut, "NAME:PLACE ...: do not cut after this node",
            "Rules"},
           {"--force", &options.forced, "NAME ...: each of these gives an anchor", "Rules"},
           {"--anchors-from", &options.anchors_from, "NAME ...: no other network gives an anchor",
            "Rules"},
           {"--forbid", &options.forbidden, "NAME ...: leave these networks out", "Rules"},
           by,
           as,
           {"--trials", &options.trials, "of --compat dery", "Options", false, 1},
           {"--no-heuristic", &no_heuristic, "do not run the paper's heuristic beside it"},
           {"--time-limit", &seconds, "seconds; the best found counts then (0: none)", "Options",
            false, 0}})) {
    return 0;
  }
  options.seed = session.seed();
  options.heuristic = !no_heuristic;
  options.dery = compat == "dery";
  options.size = zoo::parse_block_size(size);
  options.solver = solvers::parse_partition_solver(solver);
  if (size_bound == "strict") options.size_bound = solvers::SizeBound::kStrict;
  const zoo::SimilarityFile file = zoo::read_similarity(in);
  Progress progress("partition");
  solvers::Control control;
  if (seconds > 0) control.seconds = seconds;
  control.stop = session.stop();
  control.progress = [&](double done) { progress.update(done); };
  const zoo::PartitionFile result = zoo::partition_zoo(file, options, control);
  if (options.dery) {
    say_reference(session, result);
  } else {
    warn_of_forced_cuts(session, file, options);
  }
  zoo::write_partition(out, result);
  if (session.json()) {
    std::cout << zoo::partition_json(result) << "\n";
    return 0;
  }
  if (!options.dery) {
    std::cout << result.k << " sets, objective " << fixed(result.objective, 4) << ", bound "
              << fixed(result.bound, 4) << ", gap " << fixed(100 * result.gap, 3) << " %, "
              << fixed(result.seconds, 2) << " s\n";
  }
  if (result.heuristic) {
    std::cout << "the paper's heuristic: objective " << fixed(result.heuristic->objective, 4)
              << ", " << fixed(result.heuristic->seconds, 2) << " s\n";
  }
  // Where a block's number does not say it, its set stands behind it.
  const bool named = options.free_sets || !options.blocks.empty();
  std::vector<std::vector<std::string>> rows{{"network", "nodes", "blocks"}};
  for (size_t i = 0; i < result.models.size(); ++i) {
    std::map<int64_t, std::string> by_depth;
    for (size_t k = 0; k < result.sets.size(); ++k) {
      const zoo::PartitionFile::Set& set = result.sets[k];
      for (const zoo::BlockRange& block : set.blocks) {
        if (block.model != result.models[i].name) continue;
        by_depth[block.first] = std::to_string(block.first) + "-" + std::to_string(block.last) +
                                (block == set.anchor ? "*" : "") +
                                (named ? " (" + std::to_string(k + 1) + ")" : "");
      }
    }
    std::string blocks;
    for (const auto& [first, text] : by_depth) blocks += (blocks.empty() ? "" : " | ") + text;
    rows.push_back({result.models[i].name, std::to_string(result.models[i].nodes.size()), blocks});
  }
  std::cout << table(rows, false) << "(* the anchor of its set"
            << (named ? "; in brackets the set)\n" : ")\n");
  return 0;
}

}  // namespace kintsugi::apps::commands
