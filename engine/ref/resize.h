// Resizing as two sparse matrices, one an axis: the backward is their transpose. Never installed.
#pragma once

#include <vector>

#include "kintsugi/engine/ops/resize.h"

namespace kintsugi::ref {

struct ResizeTap {
  int64_t index;
  double weight;
};

// Row i: what output i takes of the `in` inputs of an axis.
std::vector<std::vector<ResizeTap>> resize_rows(int64_t in, int64_t out,
                                                ops::Interpolation interpolation);

// y (N,C,OH,OW) from x (N,C,H,W); any strides.
void resize2d(const Tensor& x, ops::Interpolation interpolation, Tensor& y);
// dx (N,C,H,W) is overwritten.
void resize2d_backward(const Tensor& dy, ops::Interpolation interpolation, Tensor& dx);

}  // namespace kintsugi::ref
