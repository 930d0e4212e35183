// Reference kernels of the reductions: plain loops in float and double, sums in double. Never
// installed.
#pragma once

#include "kintsugi/engine/ops/reduce.h"

namespace kintsugi::ref {

// y has x's rank, with extent 1 where x is reduced.
void reduce(ops::Reduce op, const Tensor& x, Tensor& y);
void extremum_backward(const Tensor& x, const Tensor& y, const Tensor& dy, Tensor& dx);
void argmax(const Tensor& x, int dim, Tensor& y);

}  // namespace kintsugi::ref
