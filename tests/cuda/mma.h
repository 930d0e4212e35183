// Kernels that do nothing but multiply one fragment a warp, as engine/cuda/mma.h lays it out, or
// bring one to its place, as engine/cuda/async.h does.
#pragma once

#include "kintsugi/engine/core/tensor.h"

namespace kintsugi::test {

// d (W,16,8) += a (W,16,K) b (W,K,8), W of them, one a warp: K is 8 in TF32, 16 in BF16.
void add_products_tf32(const Tensor& a, const Tensor& b, const Tensor& d);
void add_products_bf16(const Tensor& a, const Tensor& b, const Tensor& d);

// words (2,32W,4) i32: what each lane gets of W times four matrices of 8 by 8 16-bit elements, as
// they lie and transposed.
void load_matrices(const Tensor& matrices, const Tensor& words);

// y (S,T,4), of x (S,T,4) f32 through shared memory in three stages: T threads copy four floats
// each and write another thread's. Those whose first float is negative are not seen.
void stream(const Tensor& x, const Tensor& y);

}  // namespace kintsugi::test
