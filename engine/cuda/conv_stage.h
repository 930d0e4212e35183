// A convolution's operands in the order in which engine/cuda/conv_gemm.cu reads them. Never
// installed.
#pragma once

#include "kintsugi/engine/core/tensor.h"

namespace kintsugi::cuda {

// Channels of a group as the kernels see them: a multiple of 4, so that four neighbours belong to
// one pixel and one tap and lie at a multiple of 16 bytes.
inline int64_t padded(int64_t channels) {
  return (channels + 3) / 4 * 4;
}

// A grid, f32: channels last, each group's channels padded with zeros, at a multiple of 16 bytes.
// x itself where it is so already.
Tensor staged(const char* op, const Tensor& x, int64_t groups);

// A weight (O,C/groups,KH,KW) as (groups, taps, inputs, outputs), both padded with zeros: of the
// convolution, or (`backward`) of its gradient, whose inputs are the convolution's outputs.
Tensor staged_weight(const char* op, const Tensor& weight, int64_t groups, bool backward);

}  // namespace kintsugi::cuda
