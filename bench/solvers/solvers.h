// The solvers at the sizes of real zoos. Every answer is evaluated again from scratch.
#pragma once

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

namespace kintsugi::bench {

struct SimilarityBenchOptions {
  std::string metric = "linear-cka";
  int64_t images = 2048;
  int64_t batch_size = 256;  // of a CKA
  std::string projection = "principal";
  int64_t dims = 256;
};
// A metric at 434 positions of up to 3,712 channels, as 24 networks have them, on synthetic
// features; some pairs are compared with the definition in double.
void bench_similarity(std::ostream& out, const SimilarityBenchOptions& options);

struct PartitionBenchOptions {
  std::string similarity;  // a SIM.json; empty: synthetic zoos
  int64_t networks = 24;
  int64_t k = 4;
  double noise = 0.03;
  int64_t seeds = 5;
  std::vector<std::string> epsilon = {"0.2", "0.5", "1.0"};
  bool free_sets = false;
  bool glpk = false;       // beside the own solver
  bool exact_only = false;
  double time_limit = 60;  // seconds for each exact answer
};
// Exact beside the paper's heuristic and k-means with an exact inner step, 200 restarts each.
void bench_partition(std::ostream& out, const PartitionBenchOptions& options);

struct ReassemblyBenchOptions {
  int64_t networks = 24;
  int64_t stages = 4;
  double share = 0.35;  // of a typical assembly's costs that the budgets allow
  int64_t seeds = 5;
  int64_t budgets = 2;
  int64_t best = 50;
  bool no_glpk = false;
  double time_limit = 60;
};
// Our labels beside GLPK, the k best, and the paper's way: the best of 500 candidates at random.
void bench_reassembly(std::ostream& out, const ReassemblyBenchOptions& options);

struct FrontBenchOptions {
  int64_t networks = 24;
  int64_t stages = 4;
  double share = 1;  // of a typical assembly's costs that the budgets allow
  int64_t seeds = 5;
  double time_limit = 60;
};
// The Pareto front of a reassembly.
void bench_front(std::ostream& out, const FrontBenchOptions& options);

struct StitchGraphBenchOptions {
  int64_t networks = 24;
  int64_t stitches = 3;
  double slack = 0.10;
  int64_t seeds = 5;
  double time_limit = 60;
};
// The Pareto front over all cuts of all networks.
void bench_stitch_graph(std::ostream& out, const StitchGraphBenchOptions& options);

struct NaswotBenchOptions {
  int64_t networks = 24;
  int64_t stages = 4;
  int64_t inputs = 32;
  double share = 0.35;
  int64_t seeds = 5;
  double time_limit = 60;
};
// The proven optimum of NASWOT, beside the best of 500 candidates at random.
void bench_naswot(std::ostream& out, const NaswotBenchOptions& options);

}  // namespace kintsugi::bench
