// The only file that knows GLPK. It aborts the process on a bad index, so models come validated; an
// environment belongs to one thread, so a problem lives and dies within one call.
#include <glpk.h>

#include <algorithm>
#include <cmath>
#include <csetjmp>
#include <memory>

#include "kintsugi/engine/core/error.h"
#include "kintsugi/solvers/clock.h"
#include "kintsugi/solvers/ilp/backends.h"

namespace kintsugi::solvers::ilp {

namespace {

struct DeleteProblem {
  void operator()(glp_prob* problem) const { glp_delete_prob(problem); }
};
using Problem = std::unique_ptr<glp_prob, DeleteProblem>;

int bound_type(double lower, double upper) {
  if (lower == upper) return GLP_FX;
  if (std::isfinite(lower)) return std::isfinite(upper) ? GLP_DB : GLP_LO;
  return std::isfinite(upper) ? GLP_UP : GLP_FR;
}

// GLPK numbers rows, columns and matrix elements from 1.
Problem load(const Model& model) {
  Problem problem(glp_create_prob());
  glp_prob* p = problem.get();
  glp_set_obj_dir(p, GLP_MAX);
  if (!model.variables().empty()) glp_add_cols(p, int(model.variables().size()));
  if (!model.rows().empty()) glp_add_rows(p, int(model.rows().size()));
  for (size_t i = 0; i < model.variables().size(); ++i) {
    const Variable& v = model.variables()[i];
    const int column = int(i) + 1;
    if (v.integer) glp_set_col_kind(p, column, GLP_IV);
    glp_set_col_bnds(p, column, bound_type(v.lower, v.upper), v.lower, v.upper);
    glp_set_obj_coef(p, column, v.objective);
  }
  std::vector<int> row_of{0}, column_of{0};
  std::vector<double> value{0};
  for (size_t r = 0; r < model.rows().size(); ++r) {
    const Row& row = model.rows()[r];
    glp_set_row_bnds(p, int(r) + 1, bound_type(row.lower, row.upper), row.lower, row.upper);
    for (const Term& term : row.terms) {
      row_of.push_back(int(r) + 1);
      column_of.push_back(int(term.variable) + 1);
      value.push_back(term.coefficient);
    }
  }
  glp_load_matrix(p, int(value.size()) - 1, row_of.data(), column_of.data(), value.data());
  return problem;
}

struct Crash {};
struct Spurious {
  std::vector<double> x;
};

struct Watch {
  Clock* clock;
  double bound = kInfinity;
  uint64_t nodes = 0;
};

void on_search(glp_tree* tree, void* info) {
  auto* watch = static_cast<Watch*>(info);
  int total = 0;
  glp_ios_tree_size(tree, nullptr, nullptr, &total);
  watch->nodes = uint64_t(total);
  if (const int best = glp_ios_best_node(tree); best != 0) {
    watch->bound = std::min(watch->bound, glp_ios_node_bound(tree, best));
  }
  if (watch->clock->over()) glp_ios_terminate(tree);
}

// GLPK's own way out of an internal error is abort(). The hook jumps back here instead, over C
// frames only; the environment is then unusable and has to go, with the problem in it.
constexpr int kCrashed = -1;

void leave(void* where) {
  std::longjmp(*static_cast<std::jmp_buf*>(where), 1);
}

template <class Options>
int guarded(int (*run)(glp_prob*, const Options*), glp_prob* p, const Options* options) {
  std::jmp_buf where;
  if (setjmp(where) != 0) return kCrashed;
  glp_error_hook(leave, &where);
  const int code = run(p, options);
  glp_error_hook(nullptr, nullptr);
  return code;
}

// The relaxation in slices of 200 ms: simplex goes on where it stopped, and a stop is seen in
// between. GLPK's code; GLP_ETMLIM where the clock ran out.
int solve_relaxation(glp_prob* p, const Clock& clock) {
  glp_smcp options;
  glp_init_smcp(&options);
  options.msg_lev = GLP_MSG_OFF;
  options.tm_lim = 200;
  for (;;) {
    const int code = guarded(glp_simplex, p, &options);
    if (code != GLP_ETMLIM || clock.over()) return code;
  }
}

// GLPK rounds integers that are within 1e-5 of one, but not what hangs on them: the continuous rest
// is solved again with the integers fixed. False if it has no solution, the point being one of
// tolerance.
bool polish(const Model& model, glp_prob* p, std::vector<double>& x) {
  bool mixed = false;
  for (size_t i = 0; i < x.size(); ++i) {
    const bool integer = model.variables()[i].integer;
    x[i] = glp_mip_col_val(p, int(i) + 1);
    if (integer) x[i] = std::round(x[i]) + 0.0;
    mixed |= !integer;
  }
  if (violations(model, x, 1e-9).empty()) return true;
  if (!mixed) return violations(model, x).empty();
  for (size_t i = 0; i < x.size(); ++i) {
    if (model.variables()[i].integer) glp_set_col_bnds(p, int(i) + 1, GLP_FX, x[i], x[i]);
  }
  const Control unlimited;
  const int code = solve_relaxation(p, Clock(unlimited));
  if (code == kCrashed) throw Crash{};
  if (code != 0 || glp_get_status(p) != GLP_OPT) return false;
  for (size_t i = 0; i < x.size(); ++i) {
    if (!model.variables()[i].integer) x[i] = glp_get_col_prim(p, int(i) + 1);
  }
  return violations(model, x).empty();
}

// A row that excludes one point of binary variables.
Row exclude(const Model& model, const std::vector<double>& x) {
  Row row;
  row.upper = -1;
  for (size_t i = 0; i < x.size(); ++i) {
    const Variable& v = model.variables()[i];
    if (!v.integer) continue;
    if (v.lower < 0 || v.upper > 1) {
      fail(ErrorKind::kNumeric, "ilp: glpk's solution does not survive rounding its integers");
    }
    row.terms.push_back({i, x[i] == 1 ? 1.0 : -1.0});
    row.upper += x[i];
  }
  return row;
}

Solution search(const Model& model, glp_prob* p, Clock& clock) {
  Solution out;
  int code = solve_relaxation(p, clock);
  if (code == GLP_ETMLIM) return out;
  if (code == kCrashed) throw Crash{};
  if (code != 0) fail(ErrorKind::kNumeric, "ilp: glpk's simplex method failed with code ", code);
  const int status = glp_get_status(p);
  if (status == GLP_NOFEAS || status == GLP_INFEAS) {
    out.status = Status::kInfeasible;
    out.bound = -kInfinity;
    return out;
  }
  if (status == GLP_UNBND) {
    out.status = Status::kUnbounded;
    return out;
  }
  if (status != GLP_OPT)
    fail(ErrorKind::kNumeric, "ilp: glpk's simplex ended with status ", status);
  out.bound = glp_get_obj_val(p);

  Watch watch{&clock, out.bound};
  glp_iocp options;
  glp_init_iocp(&options);
  options.msg_lev = GLP_MSG_OFF;
  options.br_tech = GLP_BR_DTH;
  options.bt_tech = GLP_BT_BLB;
  options.cov_cuts = GLP_ON;
  options.cb_func = on_search;
  options.cb_info = &watch;
  const double left = 1000 * (clock.limit() - clock.seconds());
  options.tm_lim = left > 1e9 ? int(1e9) : std::max(1, int(left));
  code = guarded(glp_intopt, p, &options);
  if (code == kCrashed) throw Crash{};
  if (code != 0 && code != GLP_ESTOP && code != GLP_ETMLIM) {
    fail(ErrorKind::kNumeric, "ilp: glpk's branch and cut failed with code ", code);
  }
  out.nodes = watch.nodes;
  out.bound = watch.bound;
  const int mip = glp_mip_status(p);
  if (mip == GLP_NOFEAS) {
    out.status = Status::kInfeasible;
    out.bound = -kInfinity;
  } else if (mip == GLP_OPT || mip == GLP_FEAS) {
    out.status = mip == GLP_OPT ? Status::kOptimal : Status::kFeasible;
    const double claimed = glp_mip_obj_val(p);
    if (mip == GLP_OPT) out.bound = claimed;
    out.x.resize(model.variables().size());
    if (!polish(model, p, out.x)) throw Spurious{out.x};
  }
  return out;
}

}  // namespace

Solution solve_glpk(const Model& model, const Control& control) {
  // GLPK's integer solver aborts on a model without columns; such a model is its rows' bounds.
  if (model.variables().empty()) {
    Solution trivial;
    const bool feasible = violations(model, {}).empty();
    trivial.status = feasible ? Status::kOptimal : Status::kInfeasible;
    trivial.bound = feasible ? 0 : -kInfinity;
    return trivial;
  }
  glp_term_out(GLP_OFF);
  Clock clock(control);
  if (clock.over()) return {};
  Model cut = model;
  for (;;) {
    Problem problem = load(cut);
    try {
      return search(cut, problem.get(), clock);
    } catch (const Spurious& spurious) {
      cut.add(exclude(model, spurious.x));
    } catch (const Crash&) {
      (void)problem.release();  // it goes with the environment
      glp_free_env();
      fail(ErrorKind::kNumeric, "ilp: glpk failed an internal check on this model");
    }
  }
}

}  // namespace kintsugi::solvers::ilp
