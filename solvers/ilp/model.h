// A small mixed-integer linear programme as plain data, and who can solve it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "kintsugi/solvers/control.h"

namespace kintsugi::solvers::ilp {

inline constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Variable {
  double lower = 0;
  double upper = kInfinity;
  bool integer = false;
  double objective = 0;
  std::string name = {};
};

struct Term {
  size_t variable;
  double coefficient;
};

struct Row {
  std::vector<Term> terms = {};  // each variable at most once
  double lower = -kInfinity;
  double upper = kInfinity;
  std::string name = {};
};

// Maximises the sum of objective * x; lower <= row <= upper.
class Model {
 public:
  size_t add(Variable variable);  // its index
  size_t add(Row row);

  const std::vector<Variable>& variables() const { return variables_; }
  const std::vector<Row>& rows() const { return rows_; }

  // Throws kUsage on crossed or NaN bounds, a bad index, a variable twice in a row, and so on: what
  // is left can be handed to any solver.
  void validate() const;

 private:
  std::vector<Variable> variables_;
  std::vector<Row> rows_;
};

enum class Status {
  kOptimal,
  kFeasible,  // stopped early with a solution in hand
  kInfeasible,
  kUnbounded,
  kUnknown,  // stopped early with nothing in hand
};

struct Solution {
  Status status = Status::kUnknown;
  std::vector<double> x;  // one per variable; integers are exact; empty unless optimal or feasible
  double objective = 0;   // recomputed from x
  double bound = kInfinity;
  double seconds = 0;
  uint64_t nodes = 0;
};

// One entry per solver that is built in: "glpk" (if so built), "exhaustive".
struct Solver {
  const char* name;
  const char* summary;
  Solution (*solve)(const Model& model, const Control& control);
};
std::span<const Solver> solvers();

// Validates the model, runs the solver of that name, and checks its answer: every row and bound is
// evaluated again, and a solution that breaks one is refused with kNumeric. kMissing for a name
// that is not built in.
Solution solve(const Model& model, const std::string& solver, const Control& control = {});

// The lines that a point breaks by more than tolerance * max(1, |bound|), worst first; empty: none.
std::vector<std::string> violations(const Model& model, std::span<const double> x,
                                    double tolerance = 1e-6);

}  // namespace kintsugi::solvers::ilp
