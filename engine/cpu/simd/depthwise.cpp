#include "kintsugi/engine/cpu/simd/depthwise.h"

#include <type_traits>

#include "kintsugi/engine/cpu/simd/lanes.h"

namespace kintsugi::cpu::KINTSUGI_ISA {

namespace {

// --- forward, and backward data as a forward over dy ---

// kTile cells from `cell` on. A column of x is loaded once a row and serves all its taps; the
// accumulators and a row of weights stay in registers.
template <int kTaps, int kStride, int kTile, class L>
inline void tile(const DepthwiseRow& a, int64_t cell, int64_t c, const L& lanes) {
  constexpr int kSpan = (kTile - 1) * kStride + kTaps;
  Vec sums[kTile];
  const Vec start = a.bias ? lanes.get(a.bias + c) : Vec{};
#pragma GCC unroll 16
  for (int t = 0; t < kTile; ++t) sums[t] = start;
  const int64_t first = cell * kStride + a.offset;
  const bool inside = first >= 0 && first + kSpan <= a.width;
  for (int64_t r = 0; r < a.next_rows; ++r) {
    const float* const next = a.next + (r * a.width + cell * kStride) * a.channels + c;
#pragma GCC unroll 16
    for (int p = 0; p < kTile * kStride; ++p) __builtin_prefetch(next + p * a.channels, 0, 2);
  }
  for (int64_t r = 0; r < a.rows; ++r) {
    Vec weights[kTaps];
#pragma GCC unroll 16
    for (int k = 0; k < kTaps; ++k) weights[k] = lanes.get(a.weight[r] + k * a.channels + c);
    const auto take = [&](int p) __attribute__((always_inline)) {
      const Vec x = lanes.get(a.x[r] + (first + p) * a.channels + c);
#pragma GCC unroll 16
      for (int k = 0; k < kTaps; ++k) {
        const int t = (p - k) / kStride;
        if (p >= k && (p - k) % kStride == 0 && t < kTile) sums[t] += x * weights[k];
      }
    };
    if (inside) {
#pragma GCC unroll 32
      for (int p = 0; p < kSpan; ++p) take(p);
    } else {
#pragma GCC unroll 32
      for (int p = 0; p < kSpan; ++p) {
        if (uint64_t(first + p) < uint64_t(a.width)) take(p);
      }
    }
  }
  float* const y = a.y + cell * a.y_step + c;
  const Vec least = splat(a.least);
  if (cell + kTile <= a.cells) {
#pragma GCC unroll 16
    for (int t = 0; t < kTile; ++t) lanes.put(y + t * a.y_step, max(least, sums[t]));
  } else {
#pragma GCC unroll 16
    for (int t = 0; t < kTile; ++t) {
      if (cell + t < a.cells) lanes.put(y + t * a.y_step, max(least, sums[t]));
    }
  }
}

template <int kTaps, int kStride, int kTile>
void row_of_tiles(const DepthwiseRow& a, int64_t begin, int64_t end) {
  each_vector(begin, end, [&](const auto& lanes, int64_t c) {
    for (int64_t cell = 0; cell < a.cells; cell += kTile) {
      tile<kTaps, kStride, kTile>(a, cell, c, lanes);
    }
  });
}

// Any number of taps, stride and dilation.
void row_of_any(const DepthwiseRow& a, int64_t begin, int64_t end) {
  constexpr int kTile = 8;
  each_vector(begin, end, [&](const auto& lanes, int64_t c) {
    for (int64_t cell = 0; cell < a.cells; cell += kTile) {
      const int count = int(a.cells - cell < kTile ? a.cells - cell : kTile);
      Vec sums[kTile];
      for (Vec& sum : sums) sum = a.bias ? lanes.get(a.bias + c) : Vec{};
      for (int64_t r = 0; r < a.rows; ++r) {
        for (int64_t k = 0; k < a.taps; ++k) {
          const Vec weight = lanes.get(a.weight[r] + k * a.channels + c);
          const int64_t first = cell * a.stride + k * a.dilation + a.offset;
#pragma GCC unroll 8
          for (int t = 0; t < kTile; ++t) {
            const int64_t column = first + t * a.stride;
            if (uint64_t(column) < uint64_t(a.width)) {
              sums[t] += lanes.get(a.x[r] + column * a.channels + c) * weight;
            }
          }
        }
      }
      for (int t = 0; t < count; ++t) {
        lanes.put(a.y + (cell + t) * a.y_step + c, max(splat(a.least), sums[t]));
      }
    }
  });
}

// Image widths are mostly multiples of 7 or of 8.
template <int kTaps, int kStride>
void row_of_taps(const DepthwiseRow& a, int64_t begin, int64_t end) {
  if (a.cells <= 4) return row_of_tiles<kTaps, kStride, 4>(a, begin, end);
  if (a.cells % 7 == 0) return row_of_tiles<kTaps, kStride, 7>(a, begin, end);
  row_of_tiles<kTaps, kStride, 8>(a, begin, end);
}

// Calls f with the kernel's width and the stride as constants, if they are one of kTaps and
// kStride.
template <int kStride, int... kTaps, typename F>
bool with_taps(int64_t stride, int64_t taps, const F& f) {
  return stride == kStride && ((taps == kTaps && (f(std::integral_constant<int, kTaps>(),
                                                    std::integral_constant<int, kStride>()),
                                                  true)) ||
                               ...);
}

// Widths of 1, 2 and 4 are parts of larger kernels, in gradients of strided convolutions.
void row(const DepthwiseRow& a, int64_t begin, int64_t end) {
  const auto unrolled = [&](auto taps, auto stride) { row_of_taps<taps, stride>(a, begin, end); };
  const bool done =
      a.dilation == 1 && (with_taps<1, 1, 2, 3, 4, 5, 7>(a.stride, a.taps, unrolled) ||
                          with_taps<2, 3, 5, 7>(a.stride, a.taps, unrolled));
  if (!done) row_of_any(a, begin, end);
}

// --- backward weights ---

struct WeightJob {
  const ConvShape& s;
  const float* x;
  const float* dy;
  int64_t row_begin, row_end;
  float* dweight;
};

// The gradient of kernel rows [kernel_row, kernel_row + kGroup), all their taps in registers, over
// rows [row_begin, row_end) of dy. kTile columns of dy are held; a column of x serves all its taps.
template <int kTaps, int kStride, int kTile, int kGroup, class L>
inline void weight_rows(const WeightJob& a, int64_t kernel_row, int64_t row_begin, int64_t row_end,
                        int64_t c, const L& lanes) {
  constexpr int kSpan = (kTile - 1) * kStride + kTaps;
  const ConvShape& s = a.s;
  Vec sums[kGroup][kTaps];
#pragma GCC unroll 16
  for (int g = 0; g < kGroup; ++g) {
#pragma GCC unroll 16
    for (int k = 0; k < kTaps; ++k) sums[g][k] = Vec{};
  }
  for (int64_t i = row_begin; i < row_end; ++i) {
    const int64_t x_row = i * s.stride_h + kernel_row * s.dilation_h - s.top;
    for (int64_t cell = 0; cell < s.ow; cell += kTile) {
      const float* const dy = a.dy + (i * s.ow + cell) * s.c + c;
      Vec gradient[kTile];
      const bool whole = cell + kTile <= s.ow;
#pragma GCC unroll 16
      for (int t = 0; t < kTile; ++t) {
        gradient[t] = whole || cell + t < s.ow ? lanes.get(dy + t * s.c) : Vec{};
      }
      const int64_t first = cell * kStride - s.left;
      const bool inside = first >= 0 && first + kSpan <= s.w;
#pragma GCC unroll 16
      for (int g = 0; g < kGroup; ++g) {
        const int64_t row = x_row + g * s.dilation_h;
        if (uint64_t(row) >= uint64_t(s.h)) continue;
        const auto take = [&](int p) __attribute__((always_inline)) {
          const Vec x = lanes.get(a.x + (row * s.w + first + p) * s.c + c);
#pragma GCC unroll 16
          for (int k = 0; k < kTaps; ++k) {
            const int t = (p - k) / kStride;
            if (p >= k && (p - k) % kStride == 0 && t < kTile) sums[g][k] += x * gradient[t];
          }
        };
        if (inside) {
#pragma GCC unroll 32
          for (int p = 0; p < kSpan; ++p) take(p);
        } else {
#pragma GCC unroll 32
          for (int p = 0; p < kSpan; ++p) {
            if (uint64_t(first + p) < uint64_t(s.w)) take(p);
          }
        }
      }
    }
  }
#pragma GCC unroll 16
  for (int g = 0; g < kGroup; ++g) {
#pragma GCC unroll 16
    for (int k = 0; k < kTaps; ++k) {
      float* const target = a.dweight + ((kernel_row + g) * kTaps + k) * s.c + c;
      lanes.put(target, lanes.get(target) + sums[g][k]);
    }
  }
}

// Rows of dy that one pass takes: a slice of x and dy of one vector's width stays in the
// first-level cache, and no sum runs over too many products.
int64_t band_rows(const ConvShape& s) {
  const int64_t rows = 384 / (s.ow + 1);
  return rows < 4 ? 4 : rows;
}

template <int kTaps, int kStride, int kTile, int kGroup>
void weight_of_tiles(const WeightJob& a, int64_t begin, int64_t end) {
  const int64_t band = band_rows(a.s);
  each_vector(begin, end, [&](const auto& lanes, int64_t c) {
    for (int64_t i = a.row_begin; i < a.row_end; i += band) {
      const int64_t stop = i + band < a.row_end ? i + band : a.row_end;
      int64_t k = 0;
      for (; k + kGroup <= a.s.kh; k += kGroup) {
        weight_rows<kTaps, kStride, kTile, kGroup>(a, k, i, stop, c, lanes);
      }
      for (; k < a.s.kh; ++k) weight_rows<kTaps, kStride, kTile, 1>(a, k, i, stop, c, lanes);
    }
  });
}

// Registers: kTaps * kGroup sums, kTile columns of dy and one of x; enough sums to hide the
// latency.
template <int kTaps, int kStride>
void weight_of_taps(const WeightJob& a, int64_t begin, int64_t end) {
  constexpr bool kMany = kLanes == 16;  // 32 registers
  constexpr int kGroup = kTaps == 3 ? 3 : kMany ? 2 : 1;
  if constexpr (!kMany) return weight_of_tiles<kTaps, kStride, 4, kGroup>(a, begin, end);
  if (a.s.ow <= 4) return weight_of_tiles<kTaps, kStride, 4, kGroup>(a, begin, end);
  if (a.s.ow % 7 == 0) return weight_of_tiles<kTaps, kStride, 7, kGroup>(a, begin, end);
  weight_of_tiles<kTaps, kStride, 8, kGroup>(a, begin, end);
}

void weight_of_any(const WeightJob& a, int64_t begin, int64_t end) {
  const ConvShape& s = a.s;
  each_vector(begin, end, [&](const auto& lanes, int64_t c) {
    for (int64_t p = 0; p < s.kh; ++p) {
      for (int64_t q = 0; q < s.kw; ++q) {
        float* const target = a.dweight + (p * s.kw + q) * s.c + c;
        Vec total = lanes.get(target);
        for (int64_t i = a.row_begin; i < a.row_end; ++i) {
          const int64_t row = i * s.stride_h + p * s.dilation_h - s.top;
          if (uint64_t(row) >= uint64_t(s.h)) continue;
          Vec even{}, odd{};
          for (int64_t j = 0; j < s.ow; ++j) {
            const int64_t column = j * s.stride_w + q * s.dilation_w - s.left;
            if (uint64_t(column) >= uint64_t(s.w)) continue;
            const Vec product = lanes.get(a.x + (row * s.w + column) * s.c + c) *
                                lanes.get(a.dy + (i * s.ow + j) * s.c + c);
            if (j % 2)
              odd += product;
            else
              even += product;
          }
          total += even + odd;
        }
        lanes.put(target, total);
      }
    }
  });
}

void bias_sums(const WeightJob& a, int64_t begin, int64_t end, float* dbias) {
  each_vector(begin, end, [&](const auto& lanes, int64_t c) {
    Vec total = lanes.get(dbias + c);
    for (int64_t i = a.row_begin; i < a.row_end; ++i) {
      const float* const dy = a.dy + i * a.s.ow * a.s.c + c;
      Vec sums[4] = {};
      int64_t j = 0;
      for (; j + 4 <= a.s.ow; j += 4) {
        for (int t = 0; t < 4; ++t) sums[t] += lanes.get(dy + (j + t) * a.s.c);
      }
      for (; j < a.s.ow; ++j) sums[0] += lanes.get(dy + j * a.s.c);
      total += (sums[0] + sums[1]) + (sums[2] + sums[3]);
    }
    lanes.put(dbias + c, total);
  });
}

void weight(const ConvShape& shape, const float* x, const float* dy, int64_t row_begin,
            int64_t row_end, int64_t begin, int64_t end, float* dweight, float* dbias) {
  const WeightJob a{shape, x, dy, row_begin, row_end, dweight};
  if (dbias) bias_sums(a, begin, end, dbias);
  const auto unrolled = [&](auto taps, auto stride) {
    weight_of_taps<taps, stride>(a, begin, end);
  };
  const bool done =
      shape.dilation_w == 1 && (with_taps<1, 3, 5, 7>(shape.stride_w, shape.kw, unrolled) ||
                                with_taps<2, 3, 5, 7>(shape.stride_w, shape.kw, unrolled));
  if (!done) weight_of_any(a, begin, end);
}

}  // namespace

extern const DepthwiseKernels depthwise_kernels_table = {row, weight};

}  // namespace kintsugi::cpu::KINTSUGI_ISA
