// A convolution's operands in the order in which engine/cuda/conv_gemm.cu multiplies them. T is
// float or BFloat16. Never installed.
#pragma once

#include "kintsugi/engine/cuda/divide.h"
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
  // One axis of the kernel: sets of taps that are `every` apart.
  struct Sets {
    int kernel = 1, every = 1, whole = 1, rest = 0;  // kernel / every and what is left

    Sets() = default;
    Sets(int64_t taps, int64_t apart)
        : kernel(int(taps)), every(int(apart)), whole(int(taps / apart)), rest(int(taps % apart)) {}
    // Taps of the set that begins at tap `first`, and of all before it.
    __host__ __device__ int count(int first) const { return whole + (first < rest ? 1 : 0); }
    __host__ __device__ int before(int first) const {
      return first * whole + (first < rest ? first : rest);
    }
  };

  bool backward = false;
  Sets rows, columns;
  int groups = 1, merged = 1;
  int inputs = 1, outputs = 1;  // of one of the convolution's groups, as the product has them
  int padded_inputs = 1, padded_outputs = 1, block = 1;  // of the product's
  Divisor by_taps, by_block, by_outputs, by_inputs;      // of the numbers above

  __host__ __device__ int taps() const { return rows.kernel * columns.kernel; }
  // Terms of a group.
  __host__ __device__ int terms() const { return taps() * padded_inputs; }
  // The first term of a set.
  __host__ __device__ int begin(int row, int column) const {
    return (rows.before(row) * columns.kernel + rows.count(row) * columns.before(column)) *
           padded_inputs;
  }
  // An input's term under tap `tap` of a set of `taps`, of those of the set.
  __device__ __forceinline__ int in_set(int taps, int tap, int input) const {
    uint32_t channel = uint32_t(input);
    const int first = int(by_block.split(channel));
    return (first * taps + tap) * block + int(channel);
  }
};

template <class T>
Tensor staged_weight(const char* op, const Tensor& weight, const Order& order);

// dweight (O,C/groups,KH,KW) from partial sums (parts, groups, terms, outputs) in the order of a
// convolution's weight, added in the order of the parts.
void sum_parts(const char* op, const Tensor& partial, const Order& order, const Tensor& dweight);

}  // namespace kintsugi::cuda
