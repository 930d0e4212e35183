// The innermost product kernels, one table per instruction set. Never installed.
#pragma once

#include <stddef.h>

#include "kintsugi/engine/cpu/isa.h"

namespace kintsugi::solvers::dense {

// c (rows, cols) += scale * sum over p < k of a_panel(p, row) * b_panel(p, col), the sum taken in
// the panels' type, c in float64. a_panel is (k, rows), b_panel (k, cols), both contiguous.
struct ProductKernels {
  size_t rows;
  size_t cols_f32;
  size_t cols_f64;
  void (*f32)(size_t k, const float* a, const float* b, double scale, double* c, size_t ldc);
  void (*f64)(size_t k, const double* a, const double* b, double scale, double* c, size_t ldc);
  // The number of set bits in a ^ b over `words` 64-bit words.
  size_t (*differing_bits)(const unsigned long long* a, const unsigned long long* b, size_t words);
};

using cpu::isa;
using cpu::Isa;
KINTSUGI_KERNELS(ProductKernels, product_kernels)

}  // namespace kintsugi::solvers::dense
