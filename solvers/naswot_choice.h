// Reassembly by NASWOT, exactly. Each block brings the kernel that it has in its own network (see
// naswot.h), and the score of an assembly is the log-determinant of the sum:
//
//   maximise  log det (sum of the chosen candidates' kernels) + values of candidates and stitches
//   subject to the rules and budgets of a reassembly
//
// The log-determinant is concave, so its tangent at any mixture of assemblies bounds it everywhere:
// outer approximation. What a block would see behind foreign blocks is not known to it.
#pragma once

#include "kintsugi/solvers/matrix.h"
#include "kintsugi/solvers/reassembly.h"

namespace kintsugi::solvers {

struct NaswotProblem {
  ReassemblyProblem assembly;                // values of 0: NASWOT alone
  std::vector<std::vector<Matrix>> kernels;  // [stage][candidate], (inputs, inputs), symmetric,
                                             // positive semidefinite
};

struct NaswotResult {
  ReassemblyStatus status = ReassemblyStatus::kInfeasible;
  Assembly best;     // of chosen candidates; its objective is the score
  double bound = 0;  // no assembly has a greater score
  double gap = 0;    // (bound - score) / max(1e-12, |score|)
  double seconds = 0;
  uint64_t nodes = 0;  // of the search
  size_t cuts = 0;     // tangents
  std::string reason;  // if infeasible: why, and what would help
  std::vector<Remedy> remedies;
};

// As for a reassembly, and kShape or kNumeric where a kernel is not what it has to be.
void validate(const NaswotProblem& problem);

// Score and costs of a choice, from the kernels alone: -infinity where their sum is singular.
// kUsage if it breaks a rule or a budget.
Assembly evaluate(const NaswotProblem& problem, const std::vector<size_t>& chosen);

// Optimal up to 1e-9 relative. An assembly with a singular sum is no answer. Out of time or
// stopped: kFeasible with the bound proven so far, or, with nothing in hand, throws kInterrupted.
NaswotResult exact_naswot(const NaswotProblem& problem, const Control& control = {});

}  // namespace kintsugi::solvers
