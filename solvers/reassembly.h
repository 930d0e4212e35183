// Reassembly: one candidate block per stage, with stitches between, the best under budgets.
//
//   maximise  sum of the chosen candidates' values + sum of the values of the stitches between them
//   subject to every resource's budget, at most r blocks of one network, ...
//
// A longest path in a layered graph under resource constraints, solved to proven optimality.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "kintsugi/solvers/control.h"

namespace kintsugi::solvers {

enum class FeatureKind { kGrid, kTokens };

struct Resource {
  std::string name = {};                                    // "params", "macs", ...
  double budget = std::numeric_limits<double>::infinity();  // the sum of costs may not exceed it
  bool peak = false;  // not the sum counts but the greatest of them, as of memory
};

struct SourceModel {
  std::string name = {};
  size_t checkpoint = 0;     // models with the same number share one file of weights
  std::string licence = {};  // empty: not known
};

struct Candidate {
  size_t model = 0;
  double value = 0;
  std::vector<double> cost = {};  // one per resource, finite, >= 0: the block itself
  std::vector<double> stem_cost =
      {};  // added when it stands first: its network's stem; empty: none
  std::vector<double> head_cost =
      {};  // added when it stands last: the head on its width; empty: none
  FeatureKind in = FeatureKind::kGrid;
  FeatureKind out = FeatureKind::kGrid;
  bool forced = false;     // every answer holds it
  bool forbidden = false;  // no answer holds it
  std::string name = {};   // for messages
  // Candidates of a stage with the same number are one block in two states (a transformer's with
  // its class token and without) and do not count as different. kOwn: a block of its own.
  static constexpr size_t kOwn = SIZE_MAX;
  size_t block = kOwn;
};

struct Stitch {
  bool possible = true;
  double value = 0;
  std::vector<double> cost =
      {};  // one per resource; empty: free (the blocks are neighbours at home)
};

struct ReassemblyProblem {
  std::vector<Resource> resources;
  std::vector<SourceModel> models;             // empty: each is a checkpoint, its licence unknown
  std::vector<std::vector<Candidate>> stages;  // (K, any): the candidates of each stage
  // (K - 1, candidates of stage k, candidates of stage k + 1)
  std::vector<std::vector<std::vector<Stitch>>> stitches;
  size_t max_per_model = 0;          // at most so many blocks of one network; 0: K / 2, rounded up
  size_t min_models = 1;             // at least so many networks take part
  size_t max_sources = 0;            // at most so many checkpoints give blocks; 0: any number
  bool grids_before_tokens = false;  // no stitch from tokens to a grid
  std::vector<std::string> licences = {};  // of the networks that may take part; empty: any
};

enum class ReassemblySolver {
  kLabels,      // own: label setting with dominance and Lagrangian bounds
  kGlpk,        // GLPK on the layered-flow MILP; kMissing where it is not built in
  kExhaustive,  // every combination: the oracle for small problems
};
bool available(ReassemblySolver solver);
const char* to_string(ReassemblySolver solver);
ReassemblySolver parse_reassembly_solver(
    const std::string& name);  // "labels", "glpk", "exhaustive"

struct ReassemblyOptions {
  ReassemblySolver solver = ReassemblySolver::kLabels;
  size_t best = 1;       // so many assemblies, best first (fewer where fewer exist)
  size_t diversity = 1;  // each differs from every earlier one in at least so many stages
};

enum class ReassemblyStatus { kOptimal, kFeasible, kInfeasible };
const char* to_string(ReassemblyStatus status);  // "optimal", "feasible", "infeasible"

struct Assembly {
  std::vector<size_t> chosen;  // K: the candidate's index in its stage
  double objective = 0;
  std::vector<double> cost = {};  // one per resource: stem, blocks, stitches and head
};

// The smallest relaxation of one limit, all else as it is, with which an assembly exists.
struct Remedy {
  // A resource's name, or "max_per_model", "min_models", "max_sources", "grids_before_tokens",
  // "licences", "forced", "forbidden".
  std::string limit;
  double got = 0;
  double needed = 0;  // +infinity: no relaxation of this limit alone would do
  // Licences to allow besides, candidates to force or to forbid no longer; `got` and `needed` count
  // what is allowed, forced or forbidden.
  std::vector<std::string> names = {};
};

struct ReassemblyResult {
  ReassemblyStatus status = ReassemblyStatus::kInfeasible;
  std::vector<Assembly> assemblies;  // best first; empty iff infeasible
  // For the first assembly: its objective, and a bound no assembly exceeds.
  double objective = 0;
  double bound = 0;
  double gap = 0;  // (bound - objective) / max(1e-12, |objective|); optimal: 0
  double seconds = 0;
  uint64_t nodes = 0;  // labels, branch-and-bound nodes or combinations
  // If infeasible: one line that says why and what would help, and that for every limit in numbers.
  std::string reason;
  std::vector<Remedy> remedies;
};

// Throws kUsage or kShape if the problem is malformed (sizes, negative or NaN numbers, two forced
// candidates in one stage, ...).
void validate(const ReassemblyProblem& problem);

// Objective and costs of a choice, recomputed from the data by code of its own. kUsage if it breaks
// a rule or a budget.
Assembly evaluate(const ReassemblyProblem& problem, const std::vector<size_t>& chosen);

// An infeasible problem is an answer, not an error. Out of time or stopped with an assembly in
// hand: kFeasible with the bound proven so far; with none: throws kInterrupted.
ReassemblyResult reassemble(const ReassemblyProblem& problem, const ReassemblyOptions& options = {},
                            const Control& control = {});

struct ReassemblyFront {
  std::vector<Assembly> assemblies;  // one for each point of the front, best objective first
  bool complete = false;             // nothing is missing and nothing is beaten
  double bound = 0;                  // no assembly has a greater objective
  double gap = 0;  // of the first assembly's objective to the bound; 0 where complete
  double seconds = 0;
  uint64_t labels = 0;
  std::string reason;  // if there is none: why, and what would help
  std::vector<Remedy> remedies;
};

// The Pareto front: the assemblies within the budgets that no other beats in the objective and in
// the costs of `resources` (indices), by label setting with dominance. Out of time or stopped:
// assemblies of which none found beats another, not complete; with none: throws kInterrupted.
ReassemblyFront pareto_front(const ReassemblyProblem& problem, const std::vector<size_t>& resources,
                             const Control& control = {});

}  // namespace kintsugi::solvers
