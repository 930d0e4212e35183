// Attention whose scores live in tiles, never as a whole (Milakov & Gimelshein 2018; Dao et al.
// 2022). Never installed.
#pragma once

#include "kintsugi/engine/core/tensor.h"

namespace kintsugi::cuda {

// As in engine/ref/attention.h, for f32 and bf16, bias, logsumexp and dbias f32 beside either;
// false for another dtype, and where a last stride is not 1 (bias may have any; a step within a
// head of 2^24 at most).
bool attention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& bias, double scale,
               const Tensor& y, const Tensor& logsumexp);

// dbias holds zeros, with stride 0 where bias is broadcast.
bool attention_backward(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& bias,
                        double scale, const Tensor& y, const Tensor& logsumexp, const Tensor& dy,
                        const Tensor& dq, const Tensor& dk, const Tensor& dv, const Tensor& dbias);

}  // namespace kintsugi::cuda
