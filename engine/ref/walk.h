// The plain loop of the reference kernels: every index of a shape, and elements by index. Never
// installed.
#pragma once

#include <array>
#include <cstdint>

#include "kintsugi/engine/core/tensor.h"

namespace kintsugi::ref {

using Index = std::array<int64_t, kMaxRank>;

// body(index) for every index of `shape`, row-major order.
template <class Body>
void for_each_index(const Shape& shape, const Body& body) {
  if (shape.numel() == 0) return;
  Index index{};
  for (;;) {
    body(index);
    int dim = shape.rank() - 1;
    while (dim >= 0 && ++index[dim] == shape[dim]) index[dim--] = 0;
    if (dim < 0) return;
  }
}

// A tensor's elements by the index of a shape that it broadcasts to.
template <class T>
class At {
 public:
  At(const Tensor& x, const Shape& shape) : data_(x.data<T>()), rank_(shape.rank()) {
    const Strides strides = x.expand(shape).strides();
    std::copy(strides.begin(), strides.end(), strides_.begin());
  }
  explicit At(const Tensor& x) : At(x, x.shape()) {}

  T& operator()(const Index& index) const {
    int64_t offset = 0;
    for (int i = 0; i < rank_; ++i) offset += index[i] * strides_[i];
    return data_[offset];
  }

 private:
  T* data_;
  int rank_;
  Index strides_{};
};

}  // namespace kintsugi::ref
