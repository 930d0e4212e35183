#include <algorithm>
#include <chrono>
#include <cmath>

#include "bench/solvers/solvers.h"
#include "kintsugi/apps/text.h"
#include "kintsugi/engine/core/error.h"
#include "kintsugi/solvers/compat/dery_partition.h"
#include "kintsugi/zoo/files/similarity_file.h"
#include "tests/support/synthetic.h"

namespace kintsugi::bench {

namespace {

using namespace solvers;

PartitionProblem problem_of(const zoo::SimilarityFile& file) {
  PartitionProblem problem;
  for (const auto& model : file.models) {
    problem.nodes.push_back(model.nodes.size());
    problem.names.push_back(model.name);
  }
  problem.similarity = file.similarity;
  return problem;
}

void check(const PartitionProblem& problem, const PartitionResult& result, const char* solver) {
  const double again = evaluate(problem, result.best);
  if (std::abs(again - result.best.objective) > 1e-9 * std::abs(again) ||
      result.bound < again - 1e-9 * std::abs(again)) {
    fail(ErrorKind::kNumeric, "bench partition: ", solver, " says ", result.best.objective,
         " with bound ", result.bound, ", the cuts and anchors are worth ", again);
  }
}

std::string below(double exact, const PartitionResult& other) {
  return apps::fixed(100 * (exact - other.best.objective) / exact, 3) + " % in " +
         apps::fixed(other.seconds, 2) + " s";
}

std::string by_glpk(const PartitionProblem& problem, const PartitionResult& own,
                    const Control& control) {
  if (!has_partition_solver(PartitionSolver::kGlpk)) return "not built in";
  try {
    const PartitionResult glpk =
        exact_partition(problem, {.solver = PartitionSolver::kGlpk}, control);
    check(problem, glpk, "GLPK");
    if (own.optimal && glpk.optimal &&
        std::abs(own.best.objective - glpk.best.objective) > 1e-6 * own.best.objective) {
      fail(ErrorKind::kNumeric, "bench partition: the own solver says ", own.best.objective,
           ", GLPK ", glpk.best.objective);
    }
    return apps::fixed(glpk.seconds, 2) + " s" + (glpk.optimal ? "" : " (limit)");
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kInterrupted) return "nothing in time";
    if (error.kind() == ErrorKind::kUsage) return "too large";
    throw;
  }
}

}  // namespace

void bench_partition(std::ostream& out, const PartitionBenchOptions& options) {
  std::vector<std::string> head{"seed", "epsilon", "objective", "bound", "gap", "seconds"};
  const bool heuristics = !options.free_sets && !options.exact_only;
  if (heuristics) {
    head.insert(head.end(), {"swaps below", "k-means below", "reference: over size, stale"});
  }
  if (options.glpk) head.push_back("GLPK");
  std::vector<std::vector<std::string>> rows{head};
  for (int64_t seed = 0; seed < (options.similarity.empty() ? options.seeds : 1); ++seed) {
    PartitionProblem problem =
        options.similarity.empty()
            ? test::zoo(test::zoo_depths(size_t(options.networks), uint64_t(seed)), options.noise,
                        uint64_t(seed))
            : problem_of(zoo::read_similarity(options.similarity));
    problem.sets = size_t(options.k);
    problem.free_sets = options.free_sets;
    for (const std::string& epsilon : options.epsilon) {
      problem.epsilon = std::stod(epsilon);
      Control control;
      control.seconds = options.time_limit;
      const PartitionResult exact = exact_partition(problem, {}, control);
      check(problem, exact, "the exact solver");
      rows.push_back({std::to_string(seed), epsilon, apps::fixed(exact.best.objective, 4),
                      apps::fixed(exact.bound, 4), apps::fixed(100 * exact.gap, 3) + " %",
                      apps::fixed(exact.seconds, 3)});
      if (heuristics) {
        const PartitionResult swaps = swap_partition(problem), lloyd = lloyd_partition(problem);
        check(problem, swaps, "the swap heuristic");
        check(problem, lloyd, "k-means");
        rows.back().push_back(below(exact.best.objective, swaps));
        rows.back().push_back(below(exact.best.objective, lloyd));
        const compat::DeryPartition reference = compat::dery_partition(problem);
        rows.back().push_back(std::to_string(reference.over_size) + ", " +
                              std::to_string(reference.stale_centres) + " in " +
                              apps::fixed(reference.seconds, 2) + " s");
      }
      if (options.glpk) rows.back().push_back(by_glpk(problem, exact, control));
    }
  }
  out << (options.similarity.empty()
              ? std::to_string(options.networks) + " synthetic networks, noise " +
                    apps::fixed(options.noise, 2)
              : options.similarity)
      << ", K = " << options.k << (options.free_sets ? ", free sets" : "") << "\n"
      << apps::table(rows) << std::flush;
}

namespace {

constexpr double kNone = -std::numeric_limits<double>::infinity();

// The paper's way: the best of 500 candidates at random that keep the budgets, and its seconds.
// Candidates outside them are thrown away, as the reference does.
std::pair<double, double> random_search(const ReassemblyProblem& problem, uint64_t seed) {
  const auto start = std::chrono::steady_clock::now();
  const size_t stages = problem.stages.size(), resources = problem.resources.size();
  test::Random random(seed);
  double best = kNone;
  std::vector<size_t> chosen(stages);
  for (size_t tried = 0, met = 0; met < 500 && tried < 1'000'000; ++tried) {
    double value = 0;
    std::vector<double> cost(resources, 0);
    const auto pay = [&](const std::vector<double>& of) {
      for (size_t r = 0; r < of.size(); ++r) cost[r] += of[r];
    };
    for (size_t k = 0; k < stages; ++k) {
      chosen[k] = test::below(random, problem.stages[k].size());
      const Candidate& c = problem.stages[k][chosen[k]];
      value += c.value;
      pay(c.cost);
      if (k == 0) pay(c.stem_cost);
      if (k + 1 == stages) pay(c.head_cost);
      if (k == 0) continue;
      const Stitch& stitch = problem.stitches[k - 1][chosen[k - 1]][chosen[k]];
      value += stitch.value;
      pay(stitch.cost);
    }
    bool fits = true;
    for (size_t r = 0; r < resources; ++r) fits &= cost[r] <= problem.resources[r].budget;
    for (const size_t c : chosen) {
      fits &= size_t(std::count(chosen.begin(), chosen.end(), c)) <= (stages + 1) / 2;
    }
    if (!fits) continue;
    ++met;
    best = std::max(best, value);
  }
  return {best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count()};
}

std::string glpk_seconds(const ReassemblyProblem& problem, const ReassemblyResult& labels,
                         const Control& control) {
  try {
    const ReassemblyResult glpk = reassemble(problem, {.solver = ReassemblySolver::kGlpk}, control);
    if (glpk.status == ReassemblyStatus::kFeasible)
      return apps::fixed(glpk.seconds, 3) + " s (limit)";
    if (labels.status != ReassemblyStatus::kFeasible &&
        std::abs(glpk.objective - labels.objective) > 1e-6 * std::abs(labels.objective)) {
      fail(ErrorKind::kNumeric, "bench reassembly: labels say ", labels.objective, ", GLPK ",
           glpk.objective);
    }
    return apps::fixed(glpk.seconds, 3) + " s";
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kInterrupted) throw;
    return "nothing in time";
  }
}

}  // namespace

void bench_reassembly(std::ostream& out, const ReassemblyBenchOptions& options) {
  std::vector<std::vector<std::string>> rows{{"seed", "labels", "GLPK",
                                              std::to_string(options.best) + " best", "objective",
                                              "gap", "500 at random below"}};
  for (int64_t seed = 0; seed < options.seeds; ++seed) {
    const ReassemblyProblem problem = test::random_problem({.networks = size_t(options.networks),
                                                            .stages = size_t(options.stages),
                                                            .share = options.share,
                                                            .budgets = size_t(options.budgets)},
                                                           uint64_t(seed));
    Control control;
    control.seconds = options.time_limit;
    const ReassemblyResult labels = reassemble(problem, {}, control);
    const bool glpk = !options.no_glpk && available(ReassemblySolver::kGlpk);
    const std::string glpk_cell = glpk ? glpk_seconds(problem, labels, control) : "-";
    const ReassemblyResult best = reassemble(problem, {.best = size_t(options.best)}, control);
    double last = std::numeric_limits<double>::infinity();
    for (const Assembly& assembly : best.assemblies) {
      const Assembly again = evaluate(problem, assembly.chosen);
      if (std::abs(again.objective - assembly.objective) > 1e-9 || again.objective > last + 1e-9) {
        fail(ErrorKind::kNumeric, "bench reassembly: an answer is worth ", again.objective,
             ", not ", assembly.objective);
      }
      last = again.objective;
    }
    const bool none = labels.status == ReassemblyStatus::kInfeasible;
    const auto [random, seconds] =
        none ? std::pair(kNone, 0.0) : random_search(problem, uint64_t(seed));
    if (!none && random > labels.bound + 1e-9) {
      fail(ErrorKind::kNumeric, "bench reassembly: a random one is worth ", random,
           ", the bound is ", labels.bound);
    }
    const double below = 100 * (labels.objective - random) / labels.objective;
    rows.push_back({std::to_string(seed), apps::fixed(labels.seconds, 3) + " s", glpk_cell,
                    apps::fixed(best.seconds, 3) + " s",
                    none ? "infeasible" : apps::fixed(labels.objective, 5),
                    apps::fixed(100 * labels.gap, 3) + " %",
                    random == kNone
                        ? "none found"
                        : apps::fixed(below, 1) + " % in " + apps::fixed(seconds, 2) + " s"});
  }
  out << options.networks << " networks, " << options.stages << " stages, " << options.budgets
      << " budgets\n"
      << apps::table(rows) << std::flush;
}

}  // namespace kintsugi::bench
