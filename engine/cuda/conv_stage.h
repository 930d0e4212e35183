// A convolution's operands in the order in which engine/cuda/conv_gemm.cu multiplies them. T is
// float or BFloat16. Never installed.
#pragma once

#include "kintsugi/engine/cuda/vector.h"

namespace kintsugi::cuda {

// Channels of a group as the kernels see them: a multiple of 16 bytes, so that the neighbours that
// a thread moves at once belong to one pixel and one tap, and are aligned.
template <class T>
int64_t padded(int64_t channels) {
  return (channels + kLanesOf<T> - 1) / kLanesOf<T> * kLanesOf<T>;
}

// Channels of a group that neighbouring terms belong to before the next tap's follow: few, so that
// what one tap reads of a pixel is still near when the next one does. Whole groups of f32, a
// divisor of the padded channels.
template <class T>
int64_t block_of(int64_t padded_channels);

// A grid of T: channels last, each group's channels padded with zeros, at a multiple of 16 bytes. x
// itself where it is so already.
template <class T>
Tensor staged(const char* op, const Tensor& x, int64_t groups);

// How a weight (O,C/groups,KH,KW) lies for a product: (groups, terms, outputs), terms and outputs
// padded with zeros. The groups are those of the product, each `merged` of the convolution's: a
// weight between them is 0. Of the convolution (every is 1) the terms are (blocks of channels,
// taps, channels of a block). Of its gradient, `backward`, inputs and outputs are exchanged, and
// taps that are `every` apart lie together, those that begin at tap (0,0) first: the terms of each
// such set are as above.
struct Order {
  bool backward = false;
  int kernel_rows = 1, kernel_columns = 1, every_rows = 1, every_columns = 1;
  int groups = 1, merged = 1;
  int inputs = 1, outputs = 1;  // of one of the convolution's groups, as the product has them
  int padded_inputs = 1, padded_outputs = 1, block = 1;  // of the product's

  __host__ __device__ int taps() const { return kernel_rows * kernel_columns; }
  // Taps of `kernel` that are `every` apart, from tap `first` on, and those of all earlier sets.
  __host__ __device__ static int count(int kernel, int every, int first) {
    return first < kernel ? (kernel - first + every - 1) / every : 0;
  }
  __host__ __device__ static int before(int kernel, int every, int first) {
    const int rest = kernel % every;
    return first * (kernel / every) + (first < rest ? first : rest);
  }
  // The first term of a set.
  __host__ __device__ int64_t begin(int row, int column) const {
    return (int64_t(before(kernel_rows, every_rows, row)) * kernel_columns +
            count(kernel_rows, every_rows, row) * before(kernel_columns, every_columns, column)) *
           padded_inputs;
  }
  __host__ __device__ int64_t term(int tap, int input) const {
    const int row = tap / kernel_columns, column = tap % kernel_columns;
    const int r = row % every_rows, c = column % every_columns;
    const int down = count(kernel_rows, every_rows, r);
    const int across = count(kernel_columns, every_columns, c);
    const int in_set = row / every_rows * across + column / every_columns;
    return begin(r, c) + (int64_t(input / block) * (down * across) + in_set) * block +
           input % block;
  }
};

template <class T>
Tensor staged_weight(const char* op, const Tensor& weight, const Order& order);

// dweight (O,C/groups,KH,KW) from partial sums (parts, groups, terms, outputs) in the order of a
// convolution's weight, added in the order of the parts.
void sum_parts(const char* op, const Tensor& partial, const Order& order, const Tensor& dweight);

}  // namespace kintsugi::cuda
