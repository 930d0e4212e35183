// Scores of networks from the eigenvalues of small symmetric matrices.
#pragma once

#include <vector>

#include "kintsugi/solvers/matrix.h"

namespace kintsugi::solvers {

// Of a symmetric matrix, ascending, by cyclic Jacobi rotations. kShape unless square, kNumeric for
// a NaN or an infinity.
std::vector<double> eigenvalues(const Matrix& symmetric);

// (rows of a, rows of b): the inner product of each two rows, summed in float64. kShape where their
// lengths differ.
Matrix inner_products(const Matrix& a, const Matrix& b);

// jacov (Mellor et al. 2020, the first version of NASWOT's paper, arXiv 2006.04647v1): rows are the
// Jacobians of n inputs; - sum over the eigenvalues v of their correlation matrix of
// log(v + k) + 1 / (v + k), k = 1e-5. -infinity where a row is constant and has no correlation.
double jacov(const Matrix& jacobians);

// Greatest eigenvalue over the least; infinity where the least is not positive to working
// precision.
double condition_number(const Matrix& symmetric);

}  // namespace kintsugi::solvers
