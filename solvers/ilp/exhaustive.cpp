#include <algorithm>
#include <cmath>
#include <tuple>

#include "kintsugi/engine/core/error.h"
#include "kintsugi/solvers/clock.h"
#include "kintsugi/solvers/ilp/backends.h"

namespace kintsugi::solvers::ilp {

namespace {

// Depth first over the variables in order. A row's reach is the interval that the variables not yet
// set can add to it; a branch ends where a row can no longer come within its bounds.
class Enumeration {
 public:
  Enumeration(const Model& model, const Control& control) : model_(model), clock_(control) {
    const std::vector<Variable>& variables = model.variables();
    uses_.resize(variables.size());
    for (size_t i = 0; i < variables.size(); ++i) {
      if (!variables[i].integer || !std::isfinite(variables[i].lower) ||
          !std::isfinite(variables[i].upper)) {
        fail(ErrorKind::kUsage, "ilp: exhaustive takes bounded integer variables only; variable ",
             i, " is none");
      }
      best_rest_ += contribution(variables[i].objective, variables[i]).second;
    }
    low_.assign(model.rows().size(), 0);
    high_ = low_;
    for (size_t r = 0; r < model.rows().size(); ++r) {
      for (const Term& term : model.rows()[r].terms) {
        uses_[term.variable].push_back({r, term.coefficient});
        const auto [low, high] = contribution(term.coefficient, variables[term.variable]);
        low_[r] += low;
        high_[r] += high;
      }
    }
    x_.resize(variables.size());
  }

  Solution run() {
    const bool whole = descend(0, 0);
    Solution out;
    out.nodes = nodes_;
    out.x = best_;
    out.objective = value_;
    if (whole) {
      out.status = found_ ? Status::kOptimal : Status::kInfeasible;
      out.bound = found_ ? value_ : -kInfinity;
    } else {
      out.status = found_ ? Status::kFeasible : Status::kUnknown;
      out.bound = root_bound_;
    }
    return out;
  }

 private:
  static std::pair<double, double> contribution(double coefficient, const Variable& v) {
    return std::minmax(coefficient * v.lower, coefficient * v.upper);
  }

  bool reachable() const {
    for (size_t r = 0; r < low_.size(); ++r) {
      const Row& row = model_.rows()[r];
      const double slack = 1e-9 * std::max({1.0, std::abs(low_[r]), std::abs(high_[r])});
      if (low_[r] > row.upper + slack || high_[r] < row.lower - slack) return false;
    }
    return true;
  }

  // False where the clock ran out.
  bool descend(size_t i, double value) {
    if ((++nodes_ & 1023) == 0 && clock_.over()) return false;
    if (i == 0) root_bound_ = best_rest_;
    if (found_ && value + best_rest_ <= value_) return true;
    if (!reachable()) return true;
    if (i == x_.size()) {
      found_ = true;
      value_ = value;
      best_ = x_;
      return true;
    }
    const Variable& v = model_.variables()[i];
    const double top = contribution(v.objective, v).second;
    best_rest_ -= top;
    bool whole = true;
    for (double candidate = v.lower; candidate <= v.upper && whole; ++candidate) {
      // Intervals are saved rather than restored by arithmetic, which would drift.
      std::vector<std::pair<double, double>> saved;
      for (const auto& [r, coefficient] : uses_[i]) {
        saved.emplace_back(low_[r], high_[r]);
        const auto [low, high] = contribution(coefficient, v);
        low_[r] += coefficient * candidate - low;
        high_[r] += coefficient * candidate - high;
      }
      x_[i] = candidate;
      whole = descend(i + 1, value + v.objective * candidate);
      for (size_t u = 0; u < saved.size(); ++u) {
        std::tie(low_[uses_[i][u].first], high_[uses_[i][u].first]) = saved[u];
      }
    }
    best_rest_ += top;
    return whole;
  }

  const Model& model_;
  Clock clock_;
  std::vector<std::vector<std::pair<size_t, double>>> uses_;  // variable -> (row, coefficient)
  std::vector<double> low_, high_, x_, best_;
  double value_ = -kInfinity, best_rest_ = 0, root_bound_ = kInfinity;
  bool found_ = false;
  uint64_t nodes_ = 0;
};

}  // namespace

Solution solve_exhaustive(const Model& model, const Control& control) {
  return Enumeration(model, control).run();
}

}  // namespace kintsugi::solvers::ilp
