#include "kintsugi/engine/cpu/simd/softmax.h"

#include "kintsugi/engine/cpu/simd/vec.h"

namespace kintsugi::cpu::KINTSUGI_ISA {

namespace {

constexpr int64_t kChunk = 64 * kLanes;  // f32 sums no longer than this go into an f64 one

inline float largest_lane(Vec v) {
  float most = v[0];
  for (int i = 1; i < kLanes; ++i) most = v[i] > most ? v[i] : most;
  return most;
}

// Zero in the lanes past `count`.
inline Vec keep(Vec v, int64_t count) {
  VecInt index;
  for (int i = 0; i < kLanes; ++i) index[i] = i;
  return select(index < int32_t(count), v, Vec{});
}

inline Vec exp_part(const float* x, float shift, int64_t count) {
  return keep(exp(load_part(x, count) - shift), count);
}

float row_max(const float* x, int64_t n) {
  const int64_t whole = n / kLanes * kLanes;
  float most = x[0];
  if (whole > 0) {
    Vec a = load(x), b = a;
    int64_t i = kLanes;
    for (; i + 2 * kLanes <= whole; i += 2 * kLanes) {
      a = max(a, load(x + i));
      b = max(b, load(x + i + kLanes));
    }
    if (i < whole) a = max(a, load(x + i));
    most = largest_lane(max(a, b));
  }
  for (int64_t i = whole; i < n; ++i) most = x[i] > most ? x[i] : most;
  return most;
}

// y = e^(x - shift) where y is wanted; returns the sum.
template <bool kStore>
double row_exp(const float* x, int64_t n, float shift, float* y) {
  double total = 0;
  int64_t i = 0;
  while (i + kLanes <= n) {
    const int64_t stop = i + kChunk < n ? i + kChunk : n;
    Vec chunk{};
    for (; i + kLanes <= stop; i += kLanes) {
      const Vec e = exp(load(x + i) - shift);
      if (kStore) store(y + i, e);
      chunk += e;
    }
    total += sum(chunk);
  }
  if (i < n) {
    const Vec e = exp_part(x + i, shift, n - i);
    if (kStore) store_part(y + i, e, n - i);
    total += sum(e);
  }
  return total;
}

void softmax_rows(const float* x, int64_t rows, int64_t n, bool logarithm, float* y) {
  for (int64_t r = 0; r < rows; ++r, x += n, y += n) {
    const float most = row_max(x, n);
    int64_t i = 0;
    if (logarithm) {
      const double total = row_exp<false>(x, n, most, y);
      const float log_total = float(__builtin_log(total));
      for (; i + kLanes <= n; i += kLanes) store(y + i, (load(x + i) - most) - log_total);
      for (; i < n; ++i) y[i] = (x[i] - most) - log_total;
    } else {
      const float scale = float(1.0 / row_exp<true>(x, n, most, y));
      for (; i + kLanes <= n; i += kLanes) store(y + i, load(y + i) * scale);
      for (; i < n; ++i) y[i] *= scale;
    }
  }
}

double row_sum(const float* y, const float* dy, int64_t n, bool logarithm) {
  double total = 0;
  int64_t i = 0;
  while (i + kLanes <= n) {
    const int64_t stop = i + kChunk < n ? i + kChunk : n;
    Vec chunk{};
    for (; i + kLanes <= stop; i += kLanes) {
      chunk += logarithm ? load(dy + i) : load(dy + i) * load(y + i);
    }
    total += sum(chunk);
  }
  for (; i < n; ++i) total += logarithm ? dy[i] : dy[i] * y[i];
  return total;
}

void softmax_rows_backward(const float* y, const float* dy, int64_t rows, int64_t n, bool logarithm,
                           float* dx) {
  for (int64_t r = 0; r < rows; ++r, y += n, dy += n, dx += n) {
    const float total = float(row_sum(y, dy, n, logarithm));
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) {
      const Vec value = load(y + i), grad = load(dy + i);
      store(dx + i, logarithm ? grad - exp(value) * total : value * (grad - total));
    }
    if (i < n) {
      const Vec value = load_part(y + i, n - i), grad = load_part(dy + i, n - i);
      store_part(dx + i, logarithm ? grad - exp(value) * total : value * (grad - total), n - i);
    }
  }
}

struct Whole {
  static Vec get(const float* p, int64_t) { return load(p); }
  static void put(float* p, Vec v, int64_t) { store(p, v); }
};
struct Part {
  static Vec get(const float* p, int64_t count) { return load_part(p, count); }
  static void put(float* p, Vec v, int64_t count) { store_part(p, v, count); }
};

// One vector of columns. Sums longer than a chunk are added pairwise by the outer loop.
template <class Lanes>
void column(const float* x, int64_t count, int64_t n, int64_t stride, bool logarithm, float* y) {
  Vec most = Lanes::get(x, count);
  for (int64_t i = 1; i < n; ++i) most = max(most, Lanes::get(x + i * stride, count));
  Vec total{};
  for (int64_t start = 0; start < n; start += kChunk) {
    const int64_t stop = start + kChunk < n ? start + kChunk : n;
    Vec chunk{};
    for (int64_t i = start; i < stop; ++i) {
      const Vec e = exp(Lanes::get(x + i * stride, count) - most);
      if (!logarithm) Lanes::put(y + i * stride, e, count);
      chunk += e;
    }
    total += chunk;
  }
  if (logarithm) {
    Vec log_total{};
    for (int i = 0; i < kLanes; ++i) log_total[i] = __builtin_logf(total[i]);
    for (int64_t i = 0; i < n; ++i) {
      Lanes::put(y + i * stride, (Lanes::get(x + i * stride, count) - most) - log_total, count);
    }
  } else {
    const Vec scale = 1.0f / total;
    for (int64_t i = 0; i < n; ++i) {
      Lanes::put(y + i * stride, Lanes::get(y + i * stride, count) * scale, count);
    }
  }
}

template <class Lanes>
void column_backward(const float* y, const float* dy, int64_t count, int64_t n, int64_t stride,
                     bool logarithm, float* dx) {
  Vec total{};
  for (int64_t start = 0; start < n; start += kChunk) {
    const int64_t stop = start + kChunk < n ? start + kChunk : n;
    Vec chunk{};
    for (int64_t i = start; i < stop; ++i) {
      const Vec grad = Lanes::get(dy + i * stride, count);
      chunk += logarithm ? grad : grad * Lanes::get(y + i * stride, count);
    }
    total += chunk;
  }
  for (int64_t i = 0; i < n; ++i) {
    const Vec value = Lanes::get(y + i * stride, count), grad = Lanes::get(dy + i * stride, count);
    Lanes::put(dx + i * stride, logarithm ? grad - exp(value) * total : value * (grad - total),
               count);
  }
}

void softmax_columns(const float* x, int64_t width, int64_t n, int64_t stride, bool logarithm,
                     float* y) {
  int64_t c = 0;
  for (; c + kLanes <= width; c += kLanes) {
    column<Whole>(x + c, kLanes, n, stride, logarithm, y + c);
  }
  if (c < width) column<Part>(x + c, width - c, n, stride, logarithm, y + c);
}

void softmax_columns_backward(const float* y, const float* dy, int64_t width, int64_t n,
                              int64_t stride, bool logarithm, float* dx) {
  int64_t c = 0;
  for (; c + kLanes <= width; c += kLanes) {
    column_backward<Whole>(y + c, dy + c, kLanes, n, stride, logarithm, dx + c);
  }
  if (c < width) {
    column_backward<Part>(y + c, dy + c, width - c, n, stride, logarithm, dx + c);
  }
}

}  // namespace

extern const SoftmaxKernels softmax_kernels_table = {softmax_rows, softmax_rows_backward,
                                                     softmax_columns, softmax_columns_backward};

}  // namespace kintsugi::cpu::KINTSUGI_ISA
