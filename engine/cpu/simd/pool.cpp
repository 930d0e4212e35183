#include "kintsugi/engine/cpu/simd/pool.h"

#include "kintsugi/engine/cpu/simd/lanes.h"

namespace kintsugi::cpu::KINTSUGI_ISA {

namespace {

Vec as_floats(VecInt v) {
  return (Vec)v;
}
VecInt as_ints(Vec v) {
  return (VecInt)v;
}
const float* as_floats(const int32_t* p) {
  return reinterpret_cast<const float*>(p);
}
float* as_floats(int32_t* p) {
  return reinterpret_cast<float*>(p);
}

// Vectors in flight at a time, so that additions do not wait for one another.
template <int kCount, class Body>
int64_t in_blocks(int64_t c, int64_t channels, const Body& body) {
  for (; c + kCount * kLanes <= channels; c += kCount * kLanes) body(c);
  return c;
}

template <int kCount, class L>
inline void average_cell(const float* x, const PoolRows& a, int64_t begin, int64_t end, float scale,
                         const L& lanes, int64_t c, float* y) {
  // Sums of 32 cells, of 32 such sums, and of all: no f32 sum runs long.
  constexpr int64_t kRun = 32;
  Vec total[kCount] = {}, partial[kCount] = {};
  int64_t runs = 0;
  for (int64_t row = a.row_begin; row < a.row_end; ++row) {
    const float* p = x + (row * a.width + begin) * a.channels + c;
    for (int64_t column = begin; column < end; column += kRun) {
      const int64_t count = end - column < kRun ? end - column : kRun;
      Vec sum[kCount] = {};
      for (int64_t i = 0; i < count; ++i, p += a.channels) {
#pragma GCC unroll 4
        for (int v = 0; v < kCount; ++v) sum[v] += lanes.get(p + v * kLanes);
      }
#pragma GCC unroll 4
      for (int v = 0; v < kCount; ++v) partial[v] += sum[v];
      if (++runs % kRun == 0) {
#pragma GCC unroll 4
        for (int v = 0; v < kCount; ++v) {
          total[v] += partial[v];
          partial[v] = Vec{};
        }
      }
    }
  }
#pragma GCC unroll 4
  for (int v = 0; v < kCount; ++v) lanes.put(y + c + v * kLanes, (total[v] + partial[v]) * scale);
}

void average(const float* x, const PoolRows& a, const PoolSpans& columns, float scale,
             const float* column_scale, float* y) {
  const Whole full;
  for (int64_t i = 0; i < columns.count; ++i, y += a.channels) {
    const int64_t begin = columns.begin[i], end = columns.end[i];
    const float factor = scale * column_scale[i];
    const int64_t c = in_blocks<4>(
        0, a.channels, [&](int64_t at) { average_cell<4>(x, a, begin, end, factor, full, at, y); });
    each_vector(c, a.channels, [&](const auto& lanes, int64_t at) {
      average_cell<1>(x, a, begin, end, factor, lanes, at, y);
    });
  }
}

void average_backward(const float* dy, const PoolRows& a, const PoolSpans& columns,
                      const float* row_scale, const float* column_scale, float* dx) {
  for (int64_t i = 0; i < columns.count; ++i, dx += a.channels) {
    const int64_t begin = columns.begin[i], end = columns.end[i];
    each_vector(a.channels, [&](const auto& lanes, int64_t c) {
      Vec total{};
      for (int64_t row = a.row_begin; row < a.row_end; ++row) {
        const float* p = dy + (row * a.width + begin) * a.channels + c;
        for (int64_t column = begin; column < end; ++column, p += a.channels) {
          total += lanes.get(p) * (row_scale[row] * column_scale[column]);
        }
      }
      lanes.put(dx + c, total);
    });
  }
}

void maximum(const float* x, const PoolRows& a, const PoolSpans& columns, float* y,
             int32_t* indices) {
  for (int64_t i = 0; i < columns.count; ++i, y += a.channels, indices += a.channels) {
    const int64_t begin = columns.begin[i], end = columns.end[i];
    each_vector(a.channels, [&](const auto& lanes, int64_t c) {
      const int64_t first = a.row_begin * a.width + begin;
      Vec best = lanes.get(x + first * a.channels + c);
      VecInt winner = VecInt{} + int32_t(first);
      for (int64_t row = a.row_begin; row < a.row_end; ++row) {
        int64_t at = row * a.width + begin;
        for (int64_t column = begin; column < end; ++column, ++at) {
          const Vec v = lanes.get(x + at * a.channels + c);
          const VecInt wins = (v > best) | ((v != v) & (best == best));  // the first NaN stays
          best = wins ? v : best;
          winner = wins ? VecInt{} + int32_t(at) : winner;
        }
      }
      lanes.put(y + c, best);
      lanes.put(as_floats(indices) + c, as_floats(winner));
    });
  }
}

void maximum_backward(const float* dy, const int32_t* indices, const PoolRows& a,
                      const PoolSpans& columns, int32_t first_index, float* dx) {
  for (int64_t i = 0; i < columns.count; ++i, dx += a.channels) {
    const int64_t begin = columns.begin[i], end = columns.end[i];
    const VecInt here = VecInt{} + int32_t(first_index + i);
    each_vector(a.channels, [&](const auto& lanes, int64_t c) {
      Vec total{};
      for (int64_t row = a.row_begin; row < a.row_end; ++row) {
        int64_t at = (row * a.width + begin) * a.channels + c;
        for (int64_t column = begin; column < end; ++column, at += a.channels) {
          const VecInt winner = as_ints(lanes.get(as_floats(indices) + at));
          total += winner == here ? lanes.get(dy + at) : Vec{};
        }
      }
      lanes.put(dx + c, total);
    });
  }
}

}  // namespace

extern const PoolKernels pool_kernels_table = {average, average_backward, maximum,
                                               maximum_backward};

}  // namespace kintsugi::cpu::KINTSUGI_ISA
