#include "kintsugi/engine/ref/layout.h"

#include <algorithm>
#include <cstring>

namespace kintsugi::ref {

namespace {

// (outer, extent of dim, inner) of a row-major tensor.
struct Split {
  int64_t outer = 1, inner = 1;
};
Split split_at(const Shape& shape, int dim) {
  Split split;
  for (int i = 0; i < dim; ++i) split.outer *= shape[i];
  for (int i = dim + 1; i < shape.rank(); ++i) split.inner *= shape[i];
  return split;
}

}  // namespace

void gather(const Tensor& x, int dim, const Tensor& indices, const Tensor& y) {
  const Split split = split_at(x.shape(), dim);
  const size_t bytes = size_t(split.inner) * size_of(x.dtype());
  const char* from = static_cast<const char*>(x.raw());
  char* to = static_cast<char*>(y.raw());
  const int64_t* index = indices.data<int64_t>();
  for (int64_t o = 0; o < split.outer; ++o) {
    for (int64_t i = 0; i < y.size(dim); ++i, to += bytes) {
      std::memcpy(to, from + size_t(o * x.size(dim) + index[i]) * bytes, bytes);
    }
  }
}

void gather_backward(const Tensor& dy, int dim, const Tensor& indices, const Tensor& dx) {
  const Split split = split_at(dx.shape(), dim);
  const int64_t* index = indices.data<int64_t>();
  visit_floating("gather_backward", dy.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* from = dy.data<T>();
    std::fill(dx.data<T>(), dx.data<T>() + dx.numel(), T(0));
    for (int64_t o = 0; o < split.outer; ++o) {
      for (int64_t i = 0; i < indices.numel(); ++i, from += split.inner) {
        T* to = dx.data<T>() + (o * dx.size(dim) + index[i]) * split.inner;
        for (int64_t k = 0; k < split.inner; ++k) to[k] += from[k];
      }
    }
  });
}

}  // namespace kintsugi::ref
