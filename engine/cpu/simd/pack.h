// Between a row-major matrix and panels of as many rows as a vector has lanes, in which a column of
// the panel is contiguous: what packed weights look like.
#pragma once

#include <cstdint>

#include "kintsugi/engine/cpu/isa.h"

namespace kintsugi::cpu {

struct PackKernels {
  int lanes;
  // panel[column_offset[j] + r] = matrix[r * stride + j] for j < columns, r < lanes; 0 for r >=
  // rows.
  void (*pack)(const float* matrix, int64_t stride, int64_t rows, int64_t columns, float* panel,
               const int64_t* column_offset);
  // The inverse, for r < rows.
  void (*unpack)(const float* panel, const int64_t* column_offset, int64_t rows, int64_t columns,
                 float* matrix, int64_t stride);
};

KINTSUGI_KERNELS(PackKernels, pack_kernels)

}  // namespace kintsugi::cpu
