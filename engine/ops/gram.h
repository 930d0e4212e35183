// Inner products of many rows, and what CKA makes of them, of tensors on a device: the host has
// solvers/similarity.h, where the papers are named. kMissing on the CPU. No gradients.
#pragma once

#include "kintsugi/engine/core/tensor.h"

namespace kintsugi::ops {

// sum (M,M) f64 += x x^T for x (M,K) f32. Runs of 256 terms are summed in f32, whatever
// Context::math says, the runs in f64, in one order: as precise as the host's.
void add_row_products(const Tensor& x, Tensor& sum);

struct GramKind {
  bool rbf = false;       // exp(-|x - y|^2 / (2 med)), med the median of |x - y|^2; else <x, y>
  bool unbiased = false;  // U-centred, with a diagonal of zeros; else doubly centred
};

// The centred Gram of x (N,D) f32 scaled to unit norm: its upper triangle, row by row, off-diagonal
// entries times sqrt 2, into packed, N(N+1)/2 elements of f32, and the norm into the one element of
// norm, f64. N is at least 2, unbiased 3. Where x holds a NaN or an infinity, the norm is NaN and
// packed is 0.
void unit_gram(const Tensor& x, const GramKind& kind, Tensor& packed, Tensor& norm);

}  // namespace kintsugi::ops
