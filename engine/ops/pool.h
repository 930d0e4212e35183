// Pooling over (N,C,H,W); results channels last.
#pragma once

#include <array>

#include "kintsugi/engine/core/tensor.h"

namespace kintsugi::ops {

struct Pool2dParams {
  std::array<int64_t, 2> kernel{1, 1};
  std::array<int64_t, 2> stride{1, 1};
  std::array<int64_t, 4> padding{0, 0, 0, 0};  // top, bottom, left, right
  bool ceil_mode = false;           // as PyTorch: the last window must begin inside the padded input
  bool count_include_pad = true;    // average pooling: whether padding counts in the divisor

  static Pool2dParams square(int64_t kernel, int64_t stride, int64_t padding = 0);
  Shape output_shape(const char* op, const Shape& x) const;
};

// Padding never wins. `indices` (i32, the output's shape and layout) holds h*W+w of the winner (the
// first of equals) for the backward.
struct MaxPool {
  Tensor output, indices;
};
MaxPool max_pool2d(const Tensor& x, const Pool2dParams& params);
Tensor max_pool2d_backward(const Tensor& dy, const Tensor& indices, const Shape& x_shape,
                           const Pool2dParams& params);

Tensor avg_pool2d(const Tensor& x, const Pool2dParams& params);
Tensor avg_pool2d_backward(const Tensor& dy, const Shape& x_shape, const Pool2dParams& params);

// Cell i of `out` averages rows floor(i*H/out) .. ceil((i+1)*H/out), columns alike (PyTorch).
Tensor adaptive_avg_pool2d(const Tensor& x, int64_t out_h, int64_t out_w);
Tensor adaptive_avg_pool2d_backward(const Tensor& dy, const Shape& x_shape);

}  // namespace kintsugi::ops
