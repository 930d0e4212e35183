// Layout operators with gradients; contracts as in kintsugi/engine/ops/layout.h.
#pragma once

#include "kintsugi/autograd/variable.h"
#include "kintsugi/engine/ops/layout.h"

namespace kintsugi::autograd {

Variable reshape(const Variable& x, const Shape& shape);
Variable permute(const Variable& x, const Dims& dims);
Variable transpose(const Variable& x, int a, int b);
Variable slice(const Variable& x, int dim, int64_t start, int64_t stop, int64_t step = 1);
Variable expand(const Variable& x, const Shape& shape);
Variable concat(const std::vector<Variable>& xs, int dim);
Variable pad(const Variable& x, const std::vector<ops::PadDim>& pads, double value = 0);
Variable roll(const Variable& x, const Dims& shifts, const Dims& dims);
Variable gather(const Variable& x, int dim, const Tensor& indices);
Variable cast(const Variable& x, DType dtype);
Variable grid_to_tokens(const Variable& x);
Variable tokens_to_grid(const Variable& x, int64_t h, int64_t w);

}  // namespace kintsugi::autograd
