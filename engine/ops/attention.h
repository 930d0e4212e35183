// Scaled dot-product attention that never stores the N x N matrix: keys and values stream in tiles
// under a running maximum and sum (Milakov & Gimelshein 2018; Dao et al. 2022).
#pragma once

#include "kintsugi/engine/core/tensor.h"

namespace kintsugi::ops {

// q (B,H,N,D), k (B,H,M,D), v (B,H,M,E), each of any strides with a unit last stride;
// bias undefined or broadcastable to (B,H,N,M), added to scale * q k^T before the softmax.
// MACs: B*H*N*M*(D+E).
struct Attention {
  Tensor output;     // (B,H,N,E), in memory (B,N,H,E): transpose(1,2) then view merges the heads
  Tensor logsumexp;  // (B,H,N), for the backward
};
Attention attention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& bias,
                    double scale);

struct AttentionGrads {
  Tensor dq, dk, dv;  // in memory (B,N,H,D)
  Tensor dbias;       // of bias's shape; undefined where bias is, or where it is not wanted
};
AttentionGrads attention_backward(const Tensor& q, const Tensor& k, const Tensor& v,
                                  const Tensor& bias, double scale, const Attention& forward,
                                  const Tensor& dy, bool want_dbias = true);

}  // namespace kintsugi::ops
