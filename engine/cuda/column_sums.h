// Sums over the cells of each image of a grid. Never installed.
#pragma once

#include "kintsugi/engine/core/tensor.h"

namespace kintsugi::cuda {

// y (N * C elements in order) = scale * the sums over all cells of x, channels last and not empty,
// f32; summed in double, in an order that depends on the shape alone.
void scaled_column_sums(const char* op, const Tensor& x, double scale, const Tensor& y);
// The same over all images as one: y (C).
void column_sums(const char* op, const Tensor& x, const Tensor& y);

}  // namespace kintsugi::cuda
