// Operators that move or view elements. All of them are recorded; views share storage.
#pragma once

#include <array>
#include <vector>

#include "kintsugi/engine/core/tensor.h"

namespace kintsugi::ops {

// The elements in row-major order under another shape (one extent may be -1): a view where the
// strides allow it, else a copy.
Tensor reshape(const Tensor& x, const Shape& shape);
Tensor permute(const Tensor& x, const Dims& dims);             // view
Tensor transpose(const Tensor& x, int a, int b);               // view
Tensor slice(const Tensor& x, int dim, int64_t start, int64_t stop, int64_t step = 1);  // view
// dx of slice: zeros of x_shape with dy put back.
Tensor slice_backward(const Tensor& dy, const Shape& x_shape, int dim, int64_t start, int64_t step);
Tensor expand(const Tensor& x, const Shape& shape);            // view with zero strides
Tensor concat(const std::vector<Tensor>& xs, int dim);
// Adds `before` and `after` elements of `value` to `dim`, of each listed dim in turn; negative crops.
struct PadDim {
  int dim;
  int64_t before, after;
};
Tensor pad(const Tensor& x, const std::vector<PadDim>& pads, double value = 0);
// Element i of the result is element (i - shift) mod size, along each listed dim.
Tensor roll(const Tensor& x, const Dims& shifts, const Dims& dims);
// Rows of `x` along `dim` at `indices` (i64, rank 1); an index out of range is an Error,
// but on a device, where looking would wait for it, gives a row of NaN.
Tensor gather(const Tensor& x, int dim, const Tensor& indices);
Tensor gather_backward(const Tensor& dy, const Shape& x_shape, int dim, const Tensor& indices);
Tensor contiguous(const Tensor& x);
Tensor channels_last(const Tensor& x);
Tensor cast(const Tensor& x, DType dtype);

// Grid (N,C,H,W) <-> tokens (N,H*W,C): the same bytes where the grid is channels last.
Tensor grid_to_tokens(const Tensor& x);
Tensor tokens_to_grid(const Tensor& x, int64_t h, int64_t w);

}  // namespace kintsugi::ops
