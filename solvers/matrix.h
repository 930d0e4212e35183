// A dense row-major matrix of doubles: plain data between the room's problems.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace kintsugi::solvers {

struct Matrix {
  size_t rows = 0;
  size_t cols = 0;
  std::vector<double> values;  // rows * cols, row major

  Matrix() = default;
  Matrix(size_t r, size_t c, double fill = 0) : rows(r), cols(c), values(r * c, fill) {}

  double& operator()(size_t r, size_t c) { return values[r * cols + c]; }
  double operator()(size_t r, size_t c) const { return values[r * cols + c]; }
  std::span<double> row(size_t r) { return {values.data() + r * cols, cols}; }
  std::span<const double> row(size_t r) const { return {values.data() + r * cols, cols}; }
};

}  // namespace kintsugi::solvers
