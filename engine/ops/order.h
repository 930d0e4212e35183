// The order in memory of results and of copies made for kernels. Internal; not installed.
#pragma once

#include "kintsugi/engine/core/tensor.h"

namespace kintsugi::detail {

// Uninitialised, dense, with the dimensions in memory as `like` has them (its own shape and dtype
// unless given). A `like` that repeats elements (stride 0) gives row major.
Tensor empty_in_order_of(const Tensor& like);
Tensor empty_in_order_of(const Tensor& like, const Shape& shape, DType dtype);

// x itself where it is dense in the order of `like` (the same rank), else a copy that is.
Tensor in_order_of(const Tensor& like, const Tensor& x);

}  // namespace kintsugi::detail
