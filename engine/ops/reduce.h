// Reductions over listed dimensions (an empty list: all). Sums accumulate in f64 for f64 and
// pairwise or in f64 for f32.
#pragma once

#include "kintsugi/engine/core/tensor.h"

namespace kintsugi::ops {

enum class Reduce { kSum, kMean, kMax, kMin };

Tensor reduce(Reduce op, const Tensor& x, const Dims& dims = {}, bool keepdim = false);
inline Tensor sum(const Tensor& x, const Dims& dims = {}, bool keepdim = false) {
  return reduce(Reduce::kSum, x, dims, keepdim);
}
inline Tensor mean(const Tensor& x, const Dims& dims = {}, bool keepdim = false) {
  return reduce(Reduce::kMean, x, dims, keepdim);
}

// Sums a broadcast result's gradient back to the operand's shape (the inverse of expand).
Tensor sum_to(const Tensor& x, const Shape& shape);

// dx of max or min over dims: dy goes to the elements equal to y, shared evenly among ties. `y` and
// `dy` have the kept-dims shape.
Tensor extremum_backward(const Tensor& x, const Tensor& y, const Tensor& dy);

// Index of the largest element along `dim`, the first of equals; i64, that dimension removed.
Tensor argmax(const Tensor& x, int dim);

}  // namespace kintsugi::ops
