#include <iostream>

#include "bench/bench.h"
#include "bench/ceilings.h"
#include "bench/models/infer.h"
#include "bench/models/load.h"
#include "bench/models/train.h"
#include "bench/solvers/solvers.h"
#include "kintsugi/apps/session.h"
#include "kintsugi/engine/core/context.h"
#include "kintsugi/zoo/files/similarity_file.h"

namespace {

using namespace kintsugi;
using apps::Session;

void print_ceilings() {
  const int threads = Context::current().threads();
  bench::print(std::cout, bench::measure_ceilings(threads), threads);
}

int conv(Session& session) {
  bench::BenchOptions options;
  if (!session.parse("Convolutions beside oneDNN alone on the same data.",
                     {{"--filter", &options.filter, "only rows whose name contains it"},
                      {"--seconds", &options.min_seconds, "measured for each row", "Options", false,
                       0.001}})) {
    return 0;
  }
  print_ceilings();
  bench::bench_conv(std::cout, options);
  return 0;
}

int train(Session& session) {
  bench::TrainBenchOptions options;
  if (!session.parse(
          "Training throughput of the small networks, and where its time goes.",
          {{"--model", &options.model, "a catalog name (default: all for 28x28 images)"},
           {"--batch-size", &options.batch_size, "images of a step", "Options", false, 1},
           {"--steps", &options.steps, "that are measured", "Options", false, 1}})) {
    return 0;
  }
  print_ceilings();
  bench::bench_train(std::cout, options);
  return 0;
}

int infer(Session& session) {
  bench::InferBenchOptions options;
  if (!session.parse(
          "Inference of whole networks, and what folding saves.",
          {{"--model", &options.models, "catalog names"},
           {"--batch-size", &options.batch_size, "images at once", "Options", false, 1},
           {"--seconds", &options.min_seconds, "measured for each", "Options", false, 0.001}})) {
    return 0;
  }
  const int threads = Context::current().threads();
  const bench::Ceilings ceilings = bench::measure_ceilings(threads);
  bench::print(std::cout, ceilings, threads);
  bench::bench_infer(std::cout, options, ceilings.gflops);
  return 0;
}

int similarity(Session& session) {
  bench::SimilarityBenchOptions options;
  apps::Option metric{"--metric", &options.metric, "of `kintsugi similarity`"};
  for (const zoo::MetricLaws& laws : zoo::metric_laws()) metric.choices.emplace_back(laws.name);
  apps::Option projection{"--projection", &options.projection, "of the metrics that have one"};
  projection.choices = {"principal", "random"};
  if (!session.parse(
          "Similarity at the shapes of a zoo of 24 networks.",
          {metric,
           {"--images", &options.images, "of the pass", "Options", false, 5},
           {"--batch-size", &options.batch_size, "of a CKA", "Options", false, 2},
           projection,
           {"--dims", &options.dims, "of the projection", "Options", false, 1}})) {
    return 0;
  }
  bench::bench_similarity(std::cout, options);
  return 0;
}

int partition(Session& session) {
  bench::PartitionBenchOptions options;
  if (!session.parse(
          "The exact partition beside the paper's heuristic.",
          {{"--similarity", &options.similarity, "SIM.json (default: synthetic zoos)"},
           {"--networks", &options.networks, "of a synthetic zoo", "Options", false, 2},
           {"-k", &options.k, "sets", "Options", false, 1},
           {"--noise", &options.noise, "of its similarities", "Options", false, 0},
           {"--seeds", &options.seeds, "so many zoos", "Options", false, 1},
           {"--epsilon", &options.epsilon, "how uneven blocks may be, one or more"},
           {"--free-sets", &options.free_sets, "not tied to stages"},
           {"--glpk", &options.glpk, "the same by GLPK, where it is small enough"},
           {"--exact-only", &options.exact_only, "no heuristic beside it"},
           {"--time-limit", &options.time_limit, "seconds of each", "Options", false, 0.001}})) {
    return 0;
  }
  bench::bench_partition(std::cout, options);
  return 0;
}

int reassembly(Session& session) {
  bench::ReassemblyBenchOptions options;
  if (!session.parse(
          "The exact reassembly: our labels beside GLPK.",
          {{"--networks", &options.networks, "candidates of each stage", "Options", false, 1},
           {"--stages", &options.stages, "of the assembly", "Options", false, 1},
           {"--share", &options.share, "of typical costs that the budgets allow", "Options", false,
            0},
           {"--seeds", &options.seeds, "so many problems", "Options", false, 1},
           {"--budgets", &options.budgets, "2, or 3", "Options", false, 2, 3},
           {"--best", &options.best, "so many assemblies", "Options", false, 1},
           {"--no-glpk", &options.no_glpk, "labels alone"},
           {"--time-limit", &options.time_limit, "seconds of each", "Options", false, 0.001}})) {
    return 0;
  }
  bench::bench_reassembly(std::cout, options);
  return 0;
}

int front(Session& session) {
  bench::FrontBenchOptions options;
  if (!session.parse(
          "The whole Pareto front of a reassembly over params and MACs.",
          {{"--networks", &options.networks, "candidates of each stage", "Options", false, 1},
           {"--stages", &options.stages, "of the assembly", "Options", false, 1},
           {"--share", &options.share, "of typical costs that the budgets allow", "Options", false,
            0},
           {"--seeds", &options.seeds, "so many problems", "Options", false, 1},
           {"--time-limit", &options.time_limit, "seconds of each", "Options", false, 0.001}})) {
    return 0;
  }
  bench::bench_front(std::cout, options);
  return 0;
}

int stitch_graph(Session& session) {
  bench::StitchGraphBenchOptions options;
  if (!session.parse(
          "The Pareto front over all cuts of all networks at once.",
          {{"--networks", &options.networks, "of the zoo", "Options", false, 2},
           {"--stitches", &options.stitches, "at most", "Options", false, 0},
           {"--slack", &options.slack, "of relative depth that a stitch may bridge", "Options",
            false, 0},
           {"--seeds", &options.seeds, "so many zoos", "Options", false, 1},
           {"--time-limit", &options.time_limit, "seconds of each", "Options", false, 0.001}})) {
    return 0;
  }
  bench::bench_stitch_graph(std::cout, options);
  return 0;
}

int naswot(Session& session) {
  bench::NaswotBenchOptions options;
  if (!session.parse(
          "The assembly of the greatest NASWOT, proven.",
          {{"--networks", &options.networks, "candidates of each stage", "Options", false, 1},
           {"--stages", &options.stages, "of the assembly", "Options", false, 1},
           {"--inputs", &options.inputs, "of the kernels", "Options", false, 1},
           {"--share", &options.share, "of typical costs that the budgets allow", "Options", false,
            0},
           {"--seeds", &options.seeds, "so many problems", "Options", false, 1},
           {"--time-limit", &options.time_limit, "seconds of each", "Options", false, 0.001}})) {
    return 0;
  }
  bench::bench_naswot(std::cout, options);
  return 0;
}

int load(Session& session) {
  bench::LoadBenchOptions options;
  if (!session.parse(
          "From a file of weights to the first logits, each time in a process of its own.",
          {{"--model", &options.model, "a name of the catalog"},
           {"--weights", &options.weights, "a file with its card (default: one is written)"},
           {"--program", &options.program, "the kintsugi to start (default: the one beside)"},
           {"--beside", &options.beside, "a shell command that does the same, taken in turns"},
           {"--runs", &options.runs, "of each", "Options", false, 1}})) {
    return 0;
  }
  bench::bench_load(std::cout, options);
  return 0;
}

int ceilings(Session& session) {
  if (!session.parse("What this machine can do at most.", {})) return 0;
  print_ceilings();
  return 0;
}

constexpr apps::Command kBenches[] = {
    {"ceilings", "multiply-adds and memory bandwidth of this machine", ceilings},
    {"conv", "convolutions, beside oneDNN alone", conv},
    {"train", "training of the small networks, by operator", train},
    {"infer", "inference of whole networks, and what folding saves", infer},
    {"load", "from a file of weights to the first logits, in a process of its own", load},
    {"similarity", "every metric at a real zoo's shapes: seconds and memory", similarity},
    {"partition", "the exact partition beside the paper's heuristic", partition},
    {"reassembly", "the exact reassembly by labels and by GLPK", reassembly},
    {"front", "the Pareto front of a reassembly", front},
    {"naswot", "the assembly of the greatest NASWOT, proven", naswot},
    {"stitch-graph", "the Pareto front over all cuts of all networks", stitch_graph},
};

}  // namespace

int main(int argc, char** argv) {
  return apps::run_command_line(
      {"kintsugi bench",
       "Benchmarks that verify what they measure, beside this machine's ceilings."},
      kBenches, argc, argv);
}
