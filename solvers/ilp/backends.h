// The solvers behind the table; each takes a validated model. Internal.
#pragma once

#include "kintsugi/solvers/ilp/model.h"

namespace kintsugi::solvers::ilp {

Solution solve_exhaustive(const Model& model, const Control& control);
Solution solve_glpk(const Model& model, const Control& control);  // only with KINTSUGI_HAVE_GLPK

}  // namespace kintsugi::solvers::ilp
