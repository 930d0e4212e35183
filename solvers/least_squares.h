// Affine least squares y ~ W x + b from streamed statistics: how a linear stitch is fitted.
#pragma once

#include <cstddef>
#include <vector>

#include "kintsugi/solvers/control.h"
#include "kintsugi/solvers/matrix.h"

namespace kintsugi::solvers {

struct LeastSquaresFit {
  Matrix weight;                      // (out, in)
  std::vector<double> bias;           // (out)
  double r2 = 0;                      // 1 - SSE / SST over all outputs, on the data streamed
  std::vector<double> r2_per_output;  // a constant output is fitted by its bias: 1
  double ridge = 0;                   // what was added to the diagonal in the end, relative
};

// Sums of x x^T, x y^T and y y^T's diagonal in float64; rows are not kept. Memory: 8 bytes times
// in^2 + in * out, and as much again while solving.
class LeastSquares {
 public:
  LeastSquares(size_t in, size_t out);  // kUsage if 0

  // x is (rows, in), y (rows, out), row major. kNumeric on a NaN or an infinity.
  void add(const float* x, const float* y, size_t rows);

  // Minimises |W x + b - y|^2 + ridge * mean diagonal of cov(x) * |W|^2; the bias is not penalised.
  // Where the factorisation fails, ridge is doubled until it does not. kUsage before the first row;
  // kInterrupted on a stop.
  LeastSquaresFit solve(double ridge = 1e-6, const Control& control = {}) const;

  size_t in() const { return in_; }
  size_t out() const { return out_; }
  size_t rows() const { return rows_; }
  size_t bytes() const;

 private:
  size_t in_;
  size_t out_;
  size_t rows_ = 0;
  // Data are shifted by the first batch's means: sums of squares then lose no digits to a large
  // mean.
  std::vector<double> x_shift_, y_shift_;
  std::vector<double> x_sum_, y_sum_, yy_;  // of the shifted data
  Matrix xx_;                               // (in, in), upper triangle
  Matrix xy_;                               // (in, out)
};

}  // namespace kintsugi::solvers
