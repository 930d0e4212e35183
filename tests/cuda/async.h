// Kernels that do nothing but copy and load as engine/cuda/async.h says.
#pragma once

#include "kintsugi/engine/core/tensor.h"

namespace kintsugi::test {

// y (T,8) = the first count[i] elements of row i of x (T,8), then zeros, by way of shared memory: a
// thread a row. Rows of the second half are copied in a group of their own, waited for later.
void copy_rows(const Tensor& x, const Tensor& count, const Tensor& y);

// y (32,8): the words' two elements that each lane of a warp gets of x (4,8,8), bf16.
void load_fragments(const Tensor& x, const Tensor& y, bool transposed);

}  // namespace kintsugi::test
