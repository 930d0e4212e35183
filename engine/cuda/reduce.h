// Reductions of f32 or bf16 over any strides, sums in double; false for other dtypes. Never
// installed.
#pragma once

#include "kintsugi/engine/ops/reduce.h"

namespace kintsugi::cuda {

// y is dense and has x's rank, with extent 1 where x is reduced; a sum or mean of bf16 may be f32.
bool reduce(ops::Reduce op, const Tensor& x, Tensor& y);
bool extremum_backward(const Tensor& x, const Tensor& y, const Tensor& dy, Tensor& dx);
bool argmax(const Tensor& x, int dim, Tensor& y);

}  // namespace kintsugi::cuda
