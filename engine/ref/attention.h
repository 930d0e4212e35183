// Plain attention over any strides, a row of scores at a time: oracle and fallback. Never
// installed.
#pragma once

#include "kintsugi/engine/core/tensor.h"

namespace kintsugi::ref {

// q (B,H,N,D), k (B,H,M,D), v (B,H,M,E), bias undefined or expanded to (B,H,N,M); y (B,H,N,E).
void attention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& bias, double scale,
               const Tensor& y, const Tensor& logsumexp);
// dbias: undefined, or expanded as bias is; what falls on one element is summed.
void attention_backward(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& bias,
                        double scale, const Tensor& y, const Tensor& logsumexp, const Tensor& dy,
                        const Tensor& dq, const Tensor& dk, const Tensor& dv, const Tensor& dbias);

}  // namespace kintsugi::ref
