// Access to a tensor of rank 4 by (n, c, h, w), whatever its strides.
#pragma once

#include "kintsugi/engine/core/tensor.h"

namespace kintsugi::ref {

template <class T>
struct Grid {
  int64_t n, c, h, w;

  explicit Grid(const Tensor& x)
      : n(x.size(0)),
        c(x.size(1)),
        h(x.size(2)),
        w(x.size(3)),
        data_(x.data<T>()),
        strides_(x.strides()) {}

  T& operator()(int64_t in, int64_t ic, int64_t ih, int64_t iw) const {
    const int64_t* s = strides_.begin();
    return data_[in * s[0] + ic * s[1] + ih * s[2] + iw * s[3]];
  }

 private:
  T* data_;
  Strides strides_;
};

template <class T, class F>
void for_each_cell(const Grid<T>& x, const F& fn) {
  for (int64_t n = 0; n < x.n; ++n) {
    for (int64_t c = 0; c < x.c; ++c) {
      for (int64_t h = 0; h < x.h; ++h) {
        for (int64_t w = 0; w < x.w; ++w) fn(n, c, h, w);
      }
    }
  }
}

}  // namespace kintsugi::ref
