// Eigenvalues and eigenvectors of real symmetric matrices. Internal to the room.
#pragma once

#include <vector>

#include "kintsugi/solvers/matrix.h"

namespace kintsugi::solvers::dense {

enum class Vectors { kYes, kNo };

// The eigenvalues of a symmetric matrix, largest first. With kYes row k of `a` becomes the unit
// eigenvector of value k; with kNo `a` is spoilt. Householder tridiagonalisation and implicit QL
// (Golub and Van Loan, Matrix Computations, 8.3); the same bits for any number of threads.
std::vector<double> symmetric_eigen(Matrix& a, Vectors vectors);

}  // namespace kintsugi::solvers::dense
