// Seeded data for the solvers' tests.
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

}  // namespace kintsugi::solvers::test
