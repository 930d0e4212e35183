// 2-D convolution (cross-correlation, as in every framework), groups and depthwise included.
#pragma once

#include <array>

#include "kintsugi/engine/core/tensor.h"

namespace kintsugi::ops {

struct Conv2dParams {
  std::array<int64_t, 2> stride{1, 1};       // rows, columns
  std::array<int64_t, 4> padding{0, 0, 0, 0};  // top, bottom, left, right; zeros
  std::array<int64_t, 2> dilation{1, 1};
  int64_t groups = 1;
  // max(0, .) of the result on its way out, where a NaN may become 0. The backward operators know
  // nothing of it: dy is the gradient of what it was taken of.
  bool relu = false;

  static Conv2dParams same(int64_t stride, int64_t padding, int64_t groups = 1);

  // (N,C,H,W) with weight (O,C/groups,KH,KW) -> (N,O,OH,OW); an Error where they do not fit.
  Shape output_shape(const Shape& x, const Shape& weight) const;
  std::string str() const;
};

// x (N,C,H,W), weight (O,C/groups,KH,KW), bias (O) or undefined -> (N,O,OH,OW), channels last.
// MACs: N*O*OH*OW*(C/groups)*KH*KW.
Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dParams& params);

// dx (N,C,H,W), channels last, of shape x_shape.
Tensor conv2d_backward_input(const Tensor& dy, const Tensor& weight, const Shape& x_shape,
                             const Conv2dParams& params);

struct ConvWeightGrads {
  Tensor dweight;  // (O,C/groups,KH,KW), row major
  Tensor dbias;    // (O) where wanted, else undefined
};
ConvWeightGrads conv2d_backward_weight(const Tensor& x, const Tensor& dy, const Shape& weight_shape,
                                       bool want_bias, const Conv2dParams& params);

}  // namespace kintsugi::ops
