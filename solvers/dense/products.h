// Dense products and factorisations that the room needs. Internal.
#pragma once

#include <cstddef>

#include "kintsugi/solvers/matrix.h"

namespace kintsugi::solvers::dense {

// Element (i, p) at data[i * row + p * col].
template <class T>
struct Strided {
  const T* data;
  size_t row;
  size_t col;
};

enum class Part {
  kFull,
  kUpper
};  // kUpper: c is square, and only entries on or above the diagonal count

// c(i, j) += scale * sum over p < k of a(i, p) * b(j, p), for c (m, n) row major with rows ldc
// apart. Runs of up to 256 terms are summed in T, the runs in float64. Every entry is summed in one
// order, whatever the number of threads. kUpper leaves entries below the diagonal unspecified.
template <class T>
void add_products(size_t m, size_t n, size_t k, Strided<T> a, Strided<T> b, double scale, double* c,
                  size_t ldc, Part part = Part::kFull);

// The upper triangle of a symmetric positive definite matrix A is replaced by U, A = U^T U; what
// lies below is ignored and left. False where a pivot is not above `least`: the matrix is then
// spoilt.
bool factorise(Matrix& a, double least);

// Solves U^T U X = B in place; b is (rows of U, any).
void solve_factorised(const Matrix& u, Matrix& b);

}  // namespace kintsugi::solvers::dense
