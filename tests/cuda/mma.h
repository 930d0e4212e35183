// Kernels that do nothing but multiply one fragment a warp, as engine/cuda/mma.h lays it out.
#pragma once

#include "kintsugi/engine/core/tensor.h"

namespace kintsugi::test {

// d (W,16,8) += a (W,16,K) b (W,K,8), W of them, one a warp: K is 8 in TF32, 16 in BF16.
void add_products_tf32(const Tensor& a, const Tensor& b, const Tensor& d);
void add_products_bf16(const Tensor& a, const Tensor& b, const Tensor& d);

}  // namespace kintsugi::test
