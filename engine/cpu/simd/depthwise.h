// Depthwise convolution, channels last, vectors over channels: every channel has a filter of its
// own.
#pragma once

#include "kintsugi/engine/cpu/conv_shape.h"
#include "kintsugi/engine/cpu/isa.h"

namespace kintsugi::cpu {

// One row of output cells: y[j][c] = max(least, bias[c] + sum over rows r and taps k of
// x[r][j * stride + k * dilation + offset][c] * weight[r][k][c]), columns outside [0, width) left
// out.
struct DepthwiseRow {
  const float* const* x;       // `rows` rows of (width, channels)
  const float* const* weight;  // `rows` rows of (taps, channels)
  int64_t rows, taps;
  int64_t stride, dilation, offset;
  int64_t width, channels;
  const float* bias;  // or null
  float least;        // y is at least so much
  const float* next;  // what the next call will read first (next_rows rows): prefetched; or null
  int64_t next_rows;
  float* y;
  int64_t cells, y_step;  // y_step floats from cell to cell
};

struct DepthwiseKernels {
  // Channels [begin, end) only.
  void (*row)(const DepthwiseRow& row, int64_t begin, int64_t end);
  // Adds the products of one image's rows [row_begin, row_end) of dy to dweight (kh,kw,c), and to
  // dbias (c) unless null; channels [begin, end) only. Works with stride_w up to 2 and dilation 1
  // fast, with all others too.
  void (*weight)(const ConvShape& shape, const float* x, const float* dy, int64_t row_begin,
                 int64_t row_end, int64_t begin, int64_t end, float* dweight, float* dbias);
};

KINTSUGI_KERNELS(DepthwiseKernels, depthwise_kernels)

}  // namespace kintsugi::cpu
