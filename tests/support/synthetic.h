// Seeded data for the solvers' tests and benchmarks.
#pragma once

#include <algorithm>
#include <cmath>
#include <random>

#include "kintsugi/solvers/partition.h"
#include "kintsugi/solvers/reassembly.h"

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
};

// Values and stitches at random, costs over two orders of magnitude, two budgets.
inline ReassemblyProblem random_problem(const ProblemShape& shape, uint64_t seed) {
  Random random(seed);
  ReassemblyProblem problem;
  problem.resources = {{"params"}, {"macs"}};
  const auto cost = [&](double scale) {
    return std::vector<double>{std::round(scale * std::exp(normal(random))),
                               std::round(100 * scale * std::exp(normal(random)))};
  };
  double params = 0, macs = 0;
  for (size_t k = 0; k < shape.stages; ++k) {
    problem.stages.emplace_back();
    for (size_t m = 0; m < shape.networks; ++m) {
      Candidate c{.model = m, .value = 1 + uniform(random), .cost = cost(1e6)};
      if (k == 0) c.stem_cost = cost(1e4);
      if (k + 1 == shape.stages) c.head_cost = cost(1e5);
      params += c.cost[0] / double(shape.networks);
      macs += c.cost[1] / double(shape.networks);
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
  problem.resources[0].budget = std::round(shape.share * params);
  problem.resources[1].budget = std::round(shape.share * macs);
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

}  // namespace kintsugi::solvers::test
