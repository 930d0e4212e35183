#include <iostream>

#include "kintsugi/apps/commands/commands.h"
#include "kintsugi/apps/progress.h"
#include "kintsugi/apps/text.h"
#include "kintsugi/zoo/partition.h"

namespace kintsugi::apps::commands {

namespace {

void warn_of_forced_cuts(const Session& session, const zoo::SimilarityFile& file,
                         const zoo::PartitionOptions& options) {
  solvers::PartitionProblem problem;
  for (const auto& model : file.models) problem.nodes.push_back(model.nodes.size());
  problem.sets = size_t(options.k);
  problem.epsilon = options.epsilon;
  problem.size_bound = options.size_bound;
  const std::vector<uint64_t> counts = solvers::count_partitions(problem);
  for (size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] != 1) continue;
    say(session, "warning: " + file.models[i].name + " has only one feasible partition: epsilon " +
                     fixed(options.epsilon, 2) + " decides its cuts, not the similarity");
  }
}

}  // namespace

int partition(Session& session) {
  std::string in, out, size_bound = "ceil";
  zoo::PartitionOptions options;
  double seconds = 0;
  bool no_heuristic = false;
  Option bound{"--size-bound", &size_bound, "of a block's nodes: ceil((1+e)L/K), or the paper's <"};
  bound.choices = {"ceil", "strict"};
  if (!session.parse(
          "Cuts every network into K blocks of consecutive nodes so that the blocks of a set are "
          "as "
          "similar to the set's anchor as can be; exact, with a proven bound.",
          {required({"--similarity", &in, "SIM.json"}),
           required({"--out", &out, "PARTITION.json"}),
           {"-k", &options.k, "sets, and blocks of each network", "Options", false, 1, 1000},
           {"--epsilon", &options.epsilon, "how uneven blocks may be", "Options", false, 0},
           bound,
           {"--no-heuristic", &no_heuristic, "do not run the paper's heuristic beside it"},
           {"--time-limit", &seconds, "seconds; the best found counts then (0: none)", "Options",
            false, 0}})) {
    return 0;
  }
  options.seed = session.seed();
  options.heuristic = !no_heuristic;
  if (size_bound == "strict") options.size_bound = solvers::SizeBound::kStrict;
  const zoo::SimilarityFile file = zoo::read_similarity(in);
  Progress progress("partition");
  solvers::Control control;
  if (seconds > 0) control.seconds = seconds;
  control.stop = session.stop();
  control.progress = [&](double done) { progress.update(done); };
  const zoo::PartitionFile result = zoo::partition_zoo(file, options, control);
  warn_of_forced_cuts(session, file, options);
  zoo::write_partition(out, result);
  if (session.json()) {
    std::cout << zoo::partition_json(result) << "\n";
    return 0;
  }
  std::cout << result.k << " sets, objective " << fixed(result.objective, 4) << ", bound "
            << fixed(result.bound, 4) << ", gap " << fixed(100 * result.gap, 3) << " %, "
            << fixed(result.seconds, 2) << " s\n";
  if (result.heuristic) {
    std::cout << "the paper's heuristic: objective " << fixed(result.heuristic->objective, 4)
              << ", " << fixed(result.heuristic->seconds, 2) << " s\n";
  }
  std::vector<std::vector<std::string>> rows{{"network", "nodes", "blocks"}};
  for (size_t i = 0; i < result.models.size(); ++i) {
    std::string blocks;
    for (const zoo::PartitionFile::Set& set : result.sets) {
      for (const zoo::BlockRange& block : set.blocks) {
        if (block.model != result.models[i].name) continue;
        blocks += (blocks.empty() ? "" : " | ") + std::to_string(block.first) + "-" +
                  std::to_string(block.last) + (block == set.anchor ? "*" : "");
      }
    }
    rows.push_back({result.models[i].name, std::to_string(result.models[i].nodes.size()), blocks});
  }
  std::cout << table(rows, false) << "(* the anchor of its set)\n";
  return 0;
}

}  // namespace kintsugi::apps::commands
