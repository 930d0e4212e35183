// Attention in f32. Never installed.
#pragma once

#include "kintsugi/engine/core/tensor.h"

namespace kintsugi::cuda {

// As in engine/ref/attention.h; false where a last stride is not 1 (or 0 in bias).
bool attention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& bias, double scale,
               const Tensor& y, const Tensor& logsumexp);
bool attention_backward(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& bias,
                        double scale, const Tensor& y, const Tensor& logsumexp, const Tensor& dy,
                        const Tensor& dq, const Tensor& dk, const Tensor& dv, const Tensor& dbias);

}  // namespace kintsugi::cuda
