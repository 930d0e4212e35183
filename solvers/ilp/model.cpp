#include "kintsugi/solvers/ilp/model.h"

#include <algorithm>
#include <cmath>

#include "kintsugi/engine/core/error.h"
#include "kintsugi/solvers/clock.h"
#include "kintsugi/solvers/ilp/backends.h"

namespace kintsugi::solvers::ilp {

namespace {

std::string label(const std::string& name, const char* what, size_t index) {
  return name.empty() ? std::string(what) + " " + std::to_string(index) : "'" + name + "'";
}

void check_bounds(double lower, double upper, const std::string& who) {
  if (std::isnan(lower) || std::isnan(upper) || lower > upper || lower == kInfinity ||
      upper == -kInfinity) {
    fail(ErrorKind::kUsage, "ilp: the bounds of ", who, " are [", lower, ", ", upper, "]");
  }
}

// The answer's own numbers are not believed: the objective is recomputed and every row evaluated.
void check(const Model& model, Solution& solution, const char* solver) {
  const bool has_point = !solution.x.empty() || model.variables().empty();
  if (!has_point || solution.status == Status::kInfeasible) return;
  if (const std::vector<std::string> broken = violations(model, solution.x); !broken.empty()) {
    throw Error(ErrorKind::kNumeric,
                "ilp: " + std::string(solver) + "'s solution breaks " +
                    std::to_string(broken.size()) + " rows or bounds",
                broken);
  }
  solution.objective = 0;
  for (size_t i = 0; i < solution.x.size(); ++i) {
    solution.objective += model.variables()[i].objective * solution.x[i];
  }
  // A bound below a solution in hand is rounding, or wrong.
  const double slack = 1e-6 * std::max(1.0, std::abs(solution.objective));
  if (solution.bound < solution.objective - slack) {
    fail(ErrorKind::kNumeric, "ilp: ", solver, " claims the bound ", solution.bound,
         ", but its solution is worth ", solution.objective);
  }
  solution.bound = std::max(solution.bound, solution.objective);
}

Solution constant(const Model& model) {
  Solution out;
  const bool feasible = violations(model, {}).empty();
  out.status = feasible ? Status::kOptimal : Status::kInfeasible;
  out.bound = feasible ? 0 : -kInfinity;
  return out;
}

constexpr Solver kSolvers[] = {
#ifdef KINTSUGI_HAVE_GLPK
    {"glpk", "GNU Linear Programming Kit: branch and cut", solve_glpk},
#endif
    {"exhaustive", "all integer points, pruned by the rows; small problems only", solve_exhaustive},
};

}  // namespace

size_t Model::add(Variable variable) {
  variables_.push_back(std::move(variable));
  return variables_.size() - 1;
}

size_t Model::add(Row row) {
  rows_.push_back(std::move(row));
  return rows_.size() - 1;
}

void Model::validate() const {
  for (size_t i = 0; i < variables_.size(); ++i) {
    const Variable& v = variables_[i];
    const std::string who = label(v.name, "variable", i);
    check_bounds(v.lower, v.upper, who);
    if (!std::isfinite(v.objective)) {
      fail(ErrorKind::kUsage, "ilp: the objective of ", who, " is ", v.objective);
    }
    if (v.integer && ((std::isfinite(v.lower) && v.lower != std::floor(v.lower)) ||
                      (std::isfinite(v.upper) && v.upper != std::floor(v.upper)))) {
      fail(ErrorKind::kUsage, "ilp: the bounds of the integer ", who, " are no integers");
    }
  }
  std::vector<size_t> seen(variables_.size(), 0);
  for (size_t r = 0; r < rows_.size(); ++r) {
    const std::string who = label(rows_[r].name, "row", r);
    check_bounds(rows_[r].lower, rows_[r].upper, who);
    for (const Term& term : rows_[r].terms) {
      if (term.variable >= variables_.size()) {
        fail(ErrorKind::kUsage, "ilp: ", who, " names variable ", term.variable, " of ",
             variables_.size());
      }
      if (!std::isfinite(term.coefficient)) {
        fail(ErrorKind::kUsage, "ilp: ", who, " holds the coefficient ", term.coefficient);
      }
      if (seen[term.variable] == r + 1) {
        fail(ErrorKind::kUsage, "ilp: ", who, " names ",
             label(variables_[term.variable].name, "variable", term.variable), " twice");
      }
      seen[term.variable] = r + 1;
    }
  }
}

std::span<const Solver> solvers() {
  return kSolvers;
}

Solution solve(const Model& model, const std::string& solver, const Control& control) {
  model.validate();
  std::vector<std::string> names;
  for (const Solver& s : kSolvers) {
    names.push_back(s.name);
    if (solver != s.name) continue;
    const Clock clock(control);
    // A model without variables is no work for a solver, and an error to some.
    Solution solution = model.variables().empty() ? constant(model) : s.solve(model, control);
    check(model, solution, s.name);
    solution.seconds = clock.seconds();
    return solution;
  }
  fail(ErrorKind::kMissing, "ilp: no solver '", solver, "' is built in",
       did_you_mean(solver, names));
}

}  // namespace kintsugi::solvers::ilp
