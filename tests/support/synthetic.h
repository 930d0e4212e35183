// Seeded data for the solvers' tests and benchmarks.
#pragma once

#include <algorithm>
#include <cmath>
#include <random>

#include "kintsugi/solvers/naswot.h"
#include "kintsugi/solvers/naswot_choice.h"
#include "kintsugi/solvers/partition.h"
#include "kintsugi/solvers/reassembly.h"
#include "kintsugi/solvers/stitch_graph.h"

namespace kintsugi::solvers::test {

using Random = std::mt19937_64;

inline double uniform(Random& random) {
  return double(random() >> 11) * 0x1p-53;
}

inline double normal(Random& random) {
  return std::sqrt(-2 * std::log(1 - uniform(random))) * std::cos(2 * M_PI * uniform(random));
}

inline size_t below(Random& random, size_t n) {
  return size_t(uniform(random) * double(n));
}

// (rows, cols) of mean + normal noise.
inline std::vector<float> features(Random& random, size_t rows, size_t cols, double mean = 0) {
  std::vector<float> out(rows * cols);
  for (float& v : out) v = float(mean + normal(random));
  return out;
}

// Nodes of the 24 networks of DeRy's zoo (arXiv 2210.17409, appendix), in its order.
inline const std::vector<size_t> kDeryDepths = {16, 33, 8,  16, 16, 16, 16, 16, 12, 12, 12, 12,
                                                12, 24, 15, 27, 27, 27, 18, 21, 27, 17, 20, 14};

// Those, or as many networks of 12 to 50 nodes as are asked for.
inline std::vector<size_t> zoo_depths(size_t networks, uint64_t seed) {
  if (networks <= kDeryDepths.size()) {
    return {kDeryDepths.begin(), kDeryDepths.begin() + ptrdiff_t(networks)};
  }
  Random random(seed);
  std::vector<size_t> depths(networks);
  for (size_t& depth : depths) depth = 12 + below(random, 39);
  return depths;
}

// A zoo whose positions are alike where their relative depths are: each network bends depth in its
// own way, each pair has its own affinity, and noise lies on top.
inline PartitionProblem zoo(std::vector<size_t> nodes, double noise, uint64_t seed) {
  Random random(seed);
  PartitionProblem problem;
  std::vector<double> depth;
  std::vector<size_t> owner;
  for (size_t m = 0; m < nodes.size(); ++m) {
    const double bend = 0.8 + 0.4 * uniform(random);
    for (size_t p = 0; p <= nodes[m]; ++p) {
      depth.push_back(std::pow(double(p) / double(nodes[m]), bend));
      owner.push_back(m);
    }
  }
  Matrix affinity(nodes.size(), nodes.size(), 1);
  for (size_t i = 0; i < nodes.size(); ++i) {
    for (size_t j = 0; j < i; ++j) affinity(i, j) = affinity(j, i) = 0.4 + 0.6 * uniform(random);
  }
  const size_t positions = depth.size();
  problem.similarity = Matrix(positions, positions, 1);
  for (size_t i = 0; i < positions; ++i) {
    for (size_t j = 0; j < i; ++j) {
      const double apart = depth[i] - depth[j];
      const double s = 0.9 * affinity(owner[i], owner[j]) * std::exp(-20 * apart * apart) +
                       noise * normal(random);
      problem.similarity(i, j) = problem.similarity(j, i) = std::clamp(s, 0.0, 1.0);
    }
  }
  problem.nodes = std::move(nodes);
  return problem;
}

struct ProblemShape {
  size_t networks, stages;
  double share;        // of a typical assembly's cost that the budgets allow
  bool rules = false;  // order rule, fewest networks, forced and forbidden candidates
  size_t budgets = 2;  // params, macs, latency_ms
};

// Values and stitches at random, costs over two orders of magnitude, two budgets or three.
inline ReassemblyProblem random_problem(const ProblemShape& shape, uint64_t seed) {
  Random random(seed);
  ReassemblyProblem problem;
  problem.resources = {{"params"}, {"macs"}};
  if (shape.budgets > 2) problem.resources.push_back({"latency_ms"});
  const auto cost = [&](double scale) {
    std::vector<double> out{std::round(scale * std::exp(normal(random))),
                            std::round(100 * scale * std::exp(normal(random)))};
    if (shape.budgets > 2) out.push_back(1e-6 * scale * std::exp(normal(random)));
    return out;
  };
  std::vector<double> typical(problem.resources.size(), 0);
  for (size_t k = 0; k < shape.stages; ++k) {
    problem.stages.emplace_back();
    for (size_t m = 0; m < shape.networks; ++m) {
      Candidate c{.model = m, .value = 1 + uniform(random), .cost = cost(1e6)};
      if (k == 0) c.stem_cost = cost(1e4);
      if (k + 1 == shape.stages) c.head_cost = cost(1e5);
      for (size_t r = 0; r < typical.size(); ++r) typical[r] += c.cost[r] / double(shape.networks);
      if (shape.rules) {
        c.in = m % 3 == 0 ? FeatureKind::kTokens : FeatureKind::kGrid;
        c.out = m % 3 < 2 ? c.in : FeatureKind::kTokens;
        c.forbidden = uniform(random) < 0.1;
      }
      problem.stages[k].push_back(std::move(c));
    }
    if (k == 0) continue;
    problem.stitches.emplace_back(shape.networks, std::vector<Stitch>(shape.networks));
    for (size_t a = 0; a < shape.networks; ++a) {
      for (size_t b = 0; b < shape.networks; ++b) {
        Stitch& s = problem.stitches.back()[a][b];
        s.value = a == b ? 1 : 0.9 * uniform(random);
        if (a != b) s.cost = cost(1e5);
        s.possible = a == b || !shape.rules || uniform(random) < 0.8;
      }
    }
  }
  for (size_t r = 0; r < typical.size(); ++r) {
    problem.resources[r].budget =
        r < 2 ? std::round(shape.share * typical[r]) : shape.share * typical[r];
  }
  if (shape.rules) {
    problem.grids_before_tokens = seed % 2 == 0;
    problem.min_models = 1 + seed % 4;
    problem.max_per_model = 1 + seed % 3;
    if (seed % 5 == 0) {
      Candidate& c = problem.stages[seed % shape.stages][seed % shape.networks];
      c.forced = !c.forbidden;
    }
  }
  return problem;
}

// The other rules on top: a peak, checkpoints that networks share, licences, blocks in two states.
inline void add_rules(ReassemblyProblem& problem, uint64_t seed) {
  Random random(seed + 500);
  problem.resources.push_back({"memory", std::floor(5 + 5 * uniform(random)), true});
  const auto peak = [&](std::vector<double>& cost) {
    if (!cost.empty()) cost.push_back(double(below(random, 9)));
  };
  size_t networks = 0;
  for (auto& stage : problem.stages) {
    for (Candidate& c : stage) {
      networks = std::max(networks, c.model + 1);
      peak(c.cost);
      peak(c.stem_cost);
      peak(c.head_cost);
    }
  }
  for (auto& table : problem.stitches) {
    for (auto& row : table) {
      for (Stitch& s : row) peak(s.cost);
    }
  }
  const char* licences[] = {"MIT", "GPL-3.0", ""};
  for (size_t m = 0; m < networks; ++m) {
    problem.models.push_back(
        {"n" + std::to_string(m), below(random, networks), licences[below(random, 3)]});
  }
  if (seed % 4 == 1) problem.licences = {"MIT", "GPL-3.0"};
  problem.max_sources = seed % 3 == 0 ? 1 + below(random, 3) : 0;
  // The first block of each stage again, in another state.
  for (size_t k = 0; k < problem.stages.size() && seed % 2 == 0; ++k) {
    auto& stage = problem.stages[k];
    stage[0].block = 0;
    stage.push_back(stage[0]);
    stage.back().value += 0.1;
    stage.back().cost[0] += 1e5;
    if (k > 0) {
      for (auto& row : problem.stitches[k - 1]) row.push_back(row[0]);
      problem.stitches[k - 1].back().back().possible = false;
    }
    if (k < problem.stitches.size()) {
      auto& table = problem.stitches[k];
      table.push_back(table[0]);
    }
  }
}

// Networks of some 10^7 params, the greater the better; later nodes hold more params, and a stitch
// costs what the similarity of its ends falls short of 1. Values are multiples of 2^-30: their sums
// are exact in any order.
inline StitchGraphProblem random_stitch_graph(const std::vector<size_t>& nodes, uint64_t seed) {
  Random random(seed + 1000);
  const auto dyadic = [](double x) { return std::round(std::ldexp(x, 30)) * 0x1p-30; };
  StitchGraphProblem problem;
  problem.resources = {{"params"}, {"macs"}};
  problem.stitch_value = zoo(nodes, 0.03, seed).similarity;
  for (const size_t count : nodes) {
    StitchNetwork network;
    const double scale = std::exp(normal(random)), whole = 1e7 * scale / double(count);
    const double quality = 3 + 0.3 * std::log(scale) + 0.1 * normal(random);
    for (size_t p = 0; p < count; ++p) {
      const double depth = (double(p) + 0.5) / double(count);
      network.nodes.push_back({.value = dyadic(quality * (0.5 + uniform(random)) / double(count)),
                               .cost = {std::round(whole * 2 * depth * (0.5 + uniform(random))),
                                        std::round(80 * whole * (0.5 + uniform(random)))}});
    }
    network.stem_cost = {std::round(9000 * scale), std::round(1e8 * scale)};
    network.head_cost = {std::round(1e6 * scale), std::round(1e6 * scale)};
    problem.networks.push_back(std::move(network));
  }
  const size_t positions = problem.stitch_value.rows;
  problem.stitch_cost.assign(2, Matrix(positions, positions));
  for (size_t i = 0; i < problem.stitch_value.values.size(); ++i) {
    double& value = problem.stitch_value.values[i];
    value = dyadic(value - 1);
    problem.stitch_cost[0].values[i] = std::round(1e5 * std::exp(normal(random)));
    problem.stitch_cost[1].values[i] = std::round(2e7 * std::exp(normal(random)));
  }
  return problem;
}

// Kernels of random codes that share a structure: blocks of 40 to 400 units over a few directions.
inline NaswotProblem random_naswot(const ProblemShape& shape, size_t inputs, uint64_t seed) {
  NaswotProblem problem;
  problem.assembly = random_problem(shape, seed);
  for (auto& stage : problem.assembly.stages) {
    for (Candidate& c : stage) c.value = 0;
  }
  for (auto& table : problem.assembly.stitches) {
    for (auto& row : table) {
      for (Stitch& s : row) s.value = 0;
    }
  }
  Random random(seed + 2000);
  constexpr size_t kDirections = 12;
  const std::vector<float> latent = features(random, inputs, kDirections);
  for (const auto& stage : problem.assembly.stages) {
    problem.kernels.emplace_back();
    for (size_t c = 0; c < stage.size(); ++c) {
      const size_t units = 40 + below(random, 361);
      const double noise = 0.3 + uniform(random);
      const std::vector<float> mixing = features(random, units, kDirections);
      std::vector<float> x = features(random, inputs, units);
      for (size_t i = 0; i < inputs; ++i) {
        for (size_t u = 0; u < units; ++u) {
          double sum = 2 * noise * double(x[i * units + u]);
          for (size_t d = 0; d < kDirections; ++d) {
            sum += double(latent[i * kDirections + d]) * double(mixing[u * kDirections + d]);
          }
          x[i * units + u] = float(sum);
        }
      }
      Naswot naswot(inputs);
      naswot.add(x.data(), inputs, units);
      problem.kernels.back().push_back(naswot.kernel());
    }
  }
  return problem;
}

}  // namespace kintsugi::solvers::test
