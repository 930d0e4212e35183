// Attention in f32 storage: scores live in tiles, never as a whole (Milakov & Gimelshein 2018; Dao
// et al. 2022). Context::math says what the products round their operands to. Never installed.
#pragma once

#include "kintsugi/engine/core/tensor.h"

namespace kintsugi::cuda {

// As in engine/ref/attention.h; false for other dtypes than f32, where a last stride is not 1 (bias
// may have any), and for heads of more than 256 columns.
bool attention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& bias, double scale,
               const Tensor& y, const Tensor& logsumexp);

// dbias holds zeros, with stride 0 where bias is broadcast.
bool attention_backward(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& bias,
                        double scale, const Tensor& y, const Tensor& logsumexp, const Tensor& dy,
                        const Tensor& dq, const Tensor& dk, const Tensor& dv, const Tensor& dbias);

}  // namespace kintsugi::cuda
