// Inner products of rows in f64, and centred Grams of unit norm. Never installed.
#pragma once

#include "kintsugi/engine/ops/gram.h"

namespace kintsugi::cuda {

// The terms of a row of x are neighbours.
bool add_row_products(const Tensor& x, const Tensor& sum);

// Of inner products (N,N), which are overwritten.
bool unit_gram(const Tensor& products, const ops::GramKind& kind, const Tensor& packed,
               const Tensor& norm);

}  // namespace kintsugi::cuda
