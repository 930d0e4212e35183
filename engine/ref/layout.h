// Plain gathering of rows along a dimension: the CPU has no other kernel. Never installed.
//
// All contiguous; indices are i64 and in range. gather takes any dtype, its backward f32 and f64.
#pragma once

#include "kintsugi/engine/core/tensor.h"

namespace kintsugi::ref {

void gather(const Tensor& x, int dim, const Tensor& indices, const Tensor& y);
void gather_backward(const Tensor& dy, int dim, const Tensor& indices, const Tensor& dx);

}  // namespace kintsugi::ref
