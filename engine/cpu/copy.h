// Copies between memory layouts. Never installed.
#pragma once

#include "kintsugi/engine/cpu/loop.h"

namespace kintsugi::cpu {

// dst <- src: the same shape and dtype, not empty, any strides, no overlap.
void copy(const Tensor& dst, const Tensor& src);

// dst[i] = convert(src[i]) over a loop whose operands are dst and src.
template <class To, class From, class Convert>
void copy_rows(const Loop<2>& loop, To* dst, const From* src, const Convert& convert) {
  const int64_t to = loop.inner_step(0), from = loop.inner_step(1);
  run_loop(loop, 32768, [&](int64_t rows, int64_t n, const std::array<int64_t, 2>& at) {
    for (int64_t r = 0; r < rows; ++r) {
      To* p = dst + at[0] + r * loop.row_step(0);
      const From* q = src + at[1] + r * loop.row_step(1);
      if (to == 1 && from == 1) {
        for (int64_t i = 0; i < n; ++i) p[i] = convert(q[i]);
      } else {
        for (int64_t i = 0; i < n; ++i) p[i * to] = convert(q[i * from]);
      }
    }
  });
}

}  // namespace kintsugi::cpu
