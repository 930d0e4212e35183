// NASWOT (Mellor et al. 2021): a score of an untrained network from its binary activation codes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kintsugi/solvers/matrix.h"

namespace kintsugi::solvers {

// Collects K = sum over modules of  c c^T + (1 - c)(1 - c)^T,  c in {0,1}^(inputs, units) the
// codes: K_st counts the units on which the inputs s and t agree. Exact: counts in 64-bit integers.
class Naswot {
 public:
  explicit Naswot(size_t inputs);  // kUsage if 0

  // One module: activations (inputs, units), row major; a unit is on where its activation is > 0.
  // kNumeric on a NaN.
  void add(const float* activations, size_t inputs, size_t units);

  // Adds the counts of another collector over the same inputs.
  void merge(const Naswot& other);

  size_t inputs() const { return inputs_; }
  uint64_t units() const { return units_; }
  Matrix kernel() const;  // (inputs, inputs)
  double score() const;   // log |det K|; -infinity where K is singular to working precision

 private:
  size_t inputs_;
  uint64_t units_ = 0;
  std::vector<int64_t> counts_;  // (inputs, inputs)
};

// log |det| of a symmetric positive semidefinite matrix, by Cholesky with diagonal pivoting;
// -infinity where a pivot falls below inputs * 2^-52 of the greatest. kShape unless square.
double log_det(const Matrix& symmetric);

}  // namespace kintsugi::solvers
