#include "kintsugi/engine/cpu/simd/softmax.h"

#include "kintsugi/engine/cpu/simd/lanes.h"

namespace kintsugi::cpu::KINTSUGI_ISA {

namespace {

constexpr int64_t kChunk = 64 * kLanes;  // f32 sums no longer than this go into an f64 one

// body(first, count) over pieces of a row that f32 may sum.
template <class Body>
inline void each_chunk(int64_t n, const Body& body) {
  for (int64_t i = 0; i < n; i += kChunk) body(i, i + kChunk < n ? kChunk : n - i);
}

float row_max(const float* x, int64_t n) {
  Vec most = splat(x[0]);
  each_vector(n,
              [&](auto lanes, int64_t i) { most = max(most, lanes.keep(lanes.get(x + i), most)); });
  return lane_max(most);
}

// y = e^(x - shift) where it is wanted; returns the sum.
template <bool kStore>
double row_exp(const float* x, int64_t n, float shift, float* y) {
  double total = 0;
  each_chunk(n, [&](int64_t first, int64_t count) {
    Vec chunk{};
    each_vector(count, [&](auto lanes, int64_t i) {
      const Vec e = lanes.keep(exp(lanes.get(x + first + i) - shift));
      if (kStore) lanes.put(y + first + i, e);
      chunk += e;
    });
    total += lane_sum(chunk);
  });
  return total;
}

void softmax_rows(const float* x, int64_t rows, int64_t n, bool logarithm, float* y) {
  for (int64_t r = 0; r < rows; ++r, x += n, y += n) {
    const float most = row_max(x, n);
    if (logarithm) {
      const float log_total = float(__builtin_log(row_exp<false>(x, n, most, y)));
      each_vector(n, [&](auto lanes, int64_t i) {
        lanes.put(y + i, (lanes.get(x + i) - most) - log_total);
      });
    } else {
      const float scale = float(1.0 / row_exp<true>(x, n, most, y));
      each_vector(n, [&](auto lanes, int64_t i) { lanes.put(y + i, lanes.get(y + i) * scale); });
    }
  }
}

double row_sum(const float* y, const float* dy, int64_t n, bool logarithm) {
  double total = 0;
  each_chunk(n, [&](int64_t first, int64_t count) {
    Vec chunk{};
    each_vector(count, [&](auto lanes, int64_t i) {
      const Vec grad = lanes.get(dy + first + i);
      chunk += logarithm ? grad : grad * lanes.get(y + first + i);
    });
    total += lane_sum(chunk);
  });
  return total;
}

inline Vec gradient(Vec y, Vec dy, Vec total, bool logarithm) {
  return logarithm ? dy - exp(y) * total : y * (dy - total);
}

void softmax_rows_backward(const float* y, const float* dy, int64_t rows, int64_t n, bool logarithm,
                           float* dx) {
  for (int64_t r = 0; r < rows; ++r, y += n, dy += n, dx += n) {
    const Vec total = splat(float(row_sum(y, dy, n, logarithm)));
    each_vector(n, [&](auto lanes, int64_t i) {
      lanes.put(dx + i, gradient(lanes.get(y + i), lanes.get(dy + i), total, logarithm));
    });
  }
}

// One vector of columns.
template <class Lanes>
void column(Lanes lanes, const float* x, int64_t n, int64_t stride, bool logarithm, float* y) {
  Vec most = lanes.get(x);
  for (int64_t i = 1; i < n; ++i) most = max(most, lanes.get(x + i * stride));
  Vec total{};
  each_chunk(n, [&](int64_t first, int64_t count) {
    Vec chunk{};
    for (int64_t i = first; i < first + count; ++i) {
      const Vec e = exp(lanes.get(x + i * stride) - most);
      if (!logarithm) lanes.put(y + i * stride, e);
      chunk += e;
    }
    total += chunk;
  });
  if (logarithm) {
    Vec log_total{};
    for (int l = 0; l < kLanes; ++l) log_total[l] = __builtin_logf(total[l]);
    for (int64_t i = 0; i < n; ++i) {
      lanes.put(y + i * stride, (lanes.get(x + i * stride) - most) - log_total);
    }
  } else {
    const Vec scale = 1.0f / total;
    for (int64_t i = 0; i < n; ++i) lanes.put(y + i * stride, lanes.get(y + i * stride) * scale);
  }
}

template <class Lanes>
void column_backward(Lanes lanes, const float* y, const float* dy, int64_t n, int64_t stride,
                     bool logarithm, float* dx) {
  Vec total{};
  each_chunk(n, [&](int64_t first, int64_t count) {
    Vec chunk{};
    for (int64_t i = first; i < first + count; ++i) {
      const Vec grad = lanes.get(dy + i * stride);
      chunk += logarithm ? grad : grad * lanes.get(y + i * stride);
    }
    total += chunk;
  });
  for (int64_t i = 0; i < n; ++i) {
    lanes.put(dx + i * stride,
              gradient(lanes.get(y + i * stride), lanes.get(dy + i * stride), total, logarithm));
  }
}

void softmax_columns(const float* x, int64_t width, int64_t n, int64_t stride, bool logarithm,
                     float* y) {
  each_vector(width,
              [&](auto lanes, int64_t c) { column(lanes, x + c, n, stride, logarithm, y + c); });
}

void softmax_columns_backward(const float* y, const float* dy, int64_t width, int64_t n,
                              int64_t stride, bool logarithm, float* dx) {
  each_vector(width, [&](auto lanes, int64_t c) {
    column_backward(lanes, y + c, dy + c, n, stride, logarithm, dx + c);
  });
}

}  // namespace

extern const SoftmaxKernels softmax_kernels_table = {softmax_rows, softmax_rows_backward,
                                                     softmax_columns, softmax_columns_backward};

}  // namespace kintsugi::cpu::KINTSUGI_ISA
