// Pooling of one row of cells, channels last, vectors over channels.
#pragma once

#include <cstdint>

#include "kintsugi/engine/cpu/isa.h"

namespace kintsugi::cpu {

// Along one axis: cell i of the result covers [begin[i], end[i]) of what is read.
struct PoolSpans {
  const int32_t* begin;
  const int32_t* end;
  int64_t count;
};

// What is read: one image (rows, width, channels), of which the rows [row_begin, row_end).
struct PoolRows {
  int64_t width, channels;
  int64_t row_begin, row_end;
};

struct PoolKernels {
  // y[i][c] = scale * column_scale[i] * the sum over the span of cell i.
  void (*average)(const float* x, const PoolRows& rows, const PoolSpans& columns, float scale,
                  const float* column_scale, float* y);
  // dx[i][c] = the sum over the cells of dy that cover column i, each times the scales of its own
  // row and column.
  void (*average_backward)(const float* dy, const PoolRows& rows, const PoolSpans& columns,
                           const float* row_scale, const float* column_scale, float* dx);
  // The largest value and its index row * width + column; spans are not empty.
  void (*maximum)(const float* x, const PoolRows& rows, const PoolSpans& columns, float* y,
                  int32_t* indices);
  // dx[i][c] = the sum over the cells of dy that cover column i and whose index is first_index + i.
  void (*maximum_backward)(const float* dy, const int32_t* indices, const PoolRows& rows,
                           const PoolSpans& columns, int32_t first_index, float* dx);
};

KINTSUGI_KERNELS(PoolKernels, pool_kernels)

}  // namespace kintsugi::cpu
