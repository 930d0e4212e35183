#include <algorithm>
#include <cmath>
#include <limits>

#include "kintsugi/engine/core/error.h"
#include "kintsugi/solvers/dense/products.h"
#include "kintsugi/solvers/naswot.h"
#include "kintsugi/solvers/naswot_choice.h"

namespace kintsugi::solvers {

namespace {

// Symmetric and, up to rounding, positive semidefinite.
void check_kernel(const Matrix& kernel, size_t inputs, const std::string& who) {
  if (kernel.rows != inputs || kernel.cols != inputs || kernel.values.size() != inputs * inputs) {
    fail(ErrorKind::kShape, "naswot: ", who, " is ", kernel.rows, " by ", kernel.cols,
         ", expected ", inputs, " by ", inputs);
  }
  double greatest = 0;
  for (const double v : kernel.values) {
    if (!std::isfinite(v)) fail(ErrorKind::kNumeric, "naswot: ", who, " holds ", v);
    greatest = std::max(greatest, std::abs(v));
  }
  Matrix lifted = kernel;
  for (size_t i = 0; i < inputs; ++i) {
    lifted(i, i) += 1e-9 * greatest;
    for (size_t j = 0; j < i; ++j) {
      if (std::abs(kernel(i, j) - kernel(j, i)) > 1e-12 * greatest) {
        fail(ErrorKind::kNumeric, "naswot: ", who, " is not symmetric: ", kernel(i, j), " and ",
             kernel(j, i));
      }
    }
  }
  if (greatest > 0 && !dense::factorise(lifted, 0)) {
    fail(ErrorKind::kNumeric, "naswot: ", who, " is not positive semidefinite");
  }
}

}  // namespace

void validate(const NaswotProblem& problem) {
  validate(problem.assembly);
  const size_t stages = problem.assembly.stages.size();
  if (problem.kernels.size() != stages) {
    fail(ErrorKind::kShape, "naswot: kernels of ", problem.kernels.size(), " stages, expected ",
         stages);
  }
  for (size_t k = 0; k < stages; ++k) {
    if (problem.kernels[k].size() != problem.assembly.stages[k].size()) {
      fail(ErrorKind::kShape, "naswot: ", problem.kernels[k].size(), " kernels for the ",
           problem.assembly.stages[k].size(), " candidates of stage ", k + 1);
    }
  }
  const size_t inputs = problem.kernels[0][0].rows;
  if (inputs == 0) fail(ErrorKind::kShape, "naswot: kernels over 0 inputs");
  for (size_t k = 0; k < stages; ++k) {
    for (size_t c = 0; c < problem.kernels[k].size(); ++c) {
      check_kernel(
          problem.kernels[k][c], inputs,
          "the kernel of candidate " + std::to_string(c) + " of stage " + std::to_string(k + 1));
    }
  }
}

Assembly evaluate(const NaswotProblem& problem, const std::vector<size_t>& chosen) {
  validate(problem);
  Assembly out = evaluate(problem.assembly, chosen);
  Matrix sum = problem.kernels[0][chosen[0]];
  for (size_t k = 1; k < chosen.size(); ++k) {
    const Matrix& kernel = problem.kernels[k][chosen[k]];
    for (size_t i = 0; i < sum.values.size(); ++i) sum.values[i] += kernel.values[i];
  }
  out.objective += log_det(sum);
  return out;
}

}  // namespace kintsugi::solvers
