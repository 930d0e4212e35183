#include "kintsugi/solvers/least_squares.h"

#include <algorithm>
#include <cmath>

#include "kintsugi/engine/core/error.h"
#include "kintsugi/solvers/clock.h"
#include "kintsugi/solvers/dense/products.h"

namespace kintsugi::solvers {

namespace {

// Rows [first, first + rows) minus the shift, in float64.
std::vector<double> shifted(const float* data, size_t rows, size_t cols,
                            const std::vector<double>& shift) {
  std::vector<double> out(rows * cols);
  for (size_t r = 0; r < rows; ++r) {
    for (size_t c = 0; c < cols; ++c) out[r * cols + c] = data[r * cols + c] - shift[c];
  }
  return out;
}

std::vector<double> column_means(const float* data, size_t rows, size_t cols) {
  std::vector<double> mean(cols, 0);
  for (size_t r = 0; r < rows; ++r) {
    for (size_t c = 0; c < cols; ++c) mean[c] += data[r * cols + c];
  }
  for (double& m : mean) m /= double(rows);
  return mean;
}

void check_finite(const float* data, size_t count, const char* name) {
  for (size_t i = 0; i < count; ++i) {
    if (!std::isfinite(data[i])) {
      fail(ErrorKind::kNumeric, "least_squares: ", name, " holds a NaN or an infinity");
    }
  }
}

}  // namespace

LeastSquares::LeastSquares(size_t in, size_t out)
    : in_(in), out_(out), x_sum_(in, 0), y_sum_(out, 0), yy_(out, 0), xx_(in, in), xy_(in, out) {
  if (in == 0 || out == 0) {
    fail(ErrorKind::kUsage, "least_squares: ", in, " inputs and ", out,
         " outputs, expected at least 1 of each");
  }
}

void LeastSquares::add(const float* x, const float* y, size_t rows) {
  if (rows == 0) return;
  check_finite(x, rows * in_, "x");
  check_finite(y, rows * out_, "y");
  if (rows_ == 0) {
    x_shift_ = column_means(x, rows, in_);
    y_shift_ = column_means(y, rows, out_);
  }
  constexpr size_t kRows = 256;
  for (size_t r = 0; r < rows; r += kRows) {
    const size_t count = std::min(kRows, rows - r);
    const std::vector<double> xs = shifted(x + r * in_, count, in_, x_shift_);
    const std::vector<double> ys = shifted(y + r * out_, count, out_, y_shift_);
    const dense::Strided<double> xt{xs.data(), 1, in_}, yt{ys.data(), 1, out_};
    dense::add_products<double>(in_, in_, count, xt, xt, 1, xx_.values.data(), in_,
                                dense::Part::kUpper);
    dense::add_products<double>(in_, out_, count, xt, yt, 1, xy_.values.data(), out_);
    for (size_t i = 0; i < count; ++i) {
      for (size_t c = 0; c < in_; ++c) x_sum_[c] += xs[i * in_ + c];
      for (size_t c = 0; c < out_; ++c) {
        y_sum_[c] += ys[i * out_ + c];
        yy_[c] += ys[i * out_ + c] * ys[i * out_ + c];
      }
    }
  }
  rows_ += rows;
}

LeastSquaresFit LeastSquares::solve(double ridge, const Control& control) const {
  if (rows_ == 0) fail(ErrorKind::kUsage, "least_squares: no rows have been added");
  if (!(ridge >= 0) || std::isinf(ridge)) {
    fail(ErrorKind::kUsage, "least_squares: ridge is ", ridge, ", expected 0 or more");
  }
  Clock clock(control);
  const double n = double(rows_);
  Matrix cxx(in_, in_), cxy(in_, out_);  // covariances, times n; cxx both triangles
  double trace = 0;
  for (size_t i = 0; i < in_; ++i) {
    for (size_t j = i; j < in_; ++j) {
      cxx(i, j) = cxx(j, i) = xx_(i, j) - x_sum_[i] * x_sum_[j] / n;
    }
    for (size_t c = 0; c < out_; ++c) cxy(i, c) = xy_(i, c) - x_sum_[i] * y_sum_[c] / n;
    trace += cxx(i, i);
  }
  const double scale = trace / double(in_);
  LeastSquaresFit fit;
  Matrix w(in_, out_);  // stays 0 where x is constant: the bias then is all there is
  if (scale > 0) {
    Matrix u;
    // A pivot this small is rounding; what a ridge adds must stand above it.
    const double least = scale * double(in_) * 0x1p-52;
    for (fit.ridge = ridge;; fit.ridge = std::max(2 * fit.ridge, 1e-12)) {
      if (clock.stopped()) fail(ErrorKind::kInterrupted, "least_squares: stopped");
      u = cxx;
      for (size_t i = 0; i < in_; ++i) u(i, i) += fit.ridge * scale;
      if (dense::factorise(u, least)) break;
    }
    clock.report(0.4);
    w = cxy;
    dense::solve_factorised(u, w);
  }
  clock.report(0.8);

  // SSE = Cyy - 2 W Cxy + W Cxx W^T, with the true Cxx rather than the ridged one.
  Matrix cw(in_, out_);
  dense::add_products<double>(in_, out_, in_, {cxx.values.data(), in_, 1},
                              {w.values.data(), 1, out_}, 1, cw.values.data(), out_);
  std::vector<double> sse(out_, 0);
  for (size_t i = 0; i < in_; ++i) {
    for (size_t c = 0; c < out_; ++c) sse[c] += w(i, c) * (cw(i, c) - 2 * cxy(i, c));
  }
  double sse_total = 0, sst_total = 0;
  fit.weight = Matrix(out_, in_);
  for (size_t c = 0; c < out_; ++c) {
    const double sst = std::max(0.0, yy_[c] - y_sum_[c] * y_sum_[c] / n);
    const double error = std::clamp(sse[c] + sst, 0.0, sst);
    fit.r2_per_output.push_back(sst > 0 ? 1 - error / sst : 1);
    sse_total += error;
    sst_total += sst;
    double bias = y_sum_[c] / n + y_shift_[c];
    for (size_t i = 0; i < in_; ++i) {
      fit.weight(c, i) = w(i, c);
      bias -= w(i, c) * (x_sum_[i] / n + x_shift_[i]);
    }
    fit.bias.push_back(bias);
  }
  fit.r2 = sst_total > 0 ? 1 - sse_total / sst_total : 1;
  clock.report(1);
  return fit;
}

size_t LeastSquares::bytes() const {
  return sizeof(double) * (xx_.values.size() + xy_.values.size() + 2 * in_ + 3 * out_);
}

}  // namespace kintsugi::solvers
