#include "kintsugi/engine/cpu/simd/reduce.h"

#include "kintsugi/engine/cpu/simd/vec.h"

namespace kintsugi::cpu::KINTSUGI_ISA {

namespace {

constexpr int64_t kRun = 8;   // additions a lane makes in f32 before its sum goes to f64

double wide_sum(Vec v) {
  double total = 0;
  for (int i = 0; i < kLanes; ++i) total += double(v[i]);
  return total;
}

double row_sum(int64_t n, const float* x) {
  double total = 0;
  int64_t i = 0;
  while (i + 4 * kLanes <= n) {
    Vec a{}, b{}, c{}, d{};
    for (int64_t k = 0; k < kRun && i + 4 * kLanes <= n; ++k, i += 4 * kLanes) {
      a += load(x + i);
      b += load(x + i + kLanes);
      c += load(x + i + 2 * kLanes);
      d += load(x + i + 3 * kLanes);
    }
    total += wide_sum((a + b) + (c + d));
  }
  if (i + kLanes <= n) {
    Vec a{};
    for (; i + kLanes <= n; i += kLanes) a += load(x + i);
    total += wide_sum(a);
  }
  for (; i < n; ++i) total += double(x[i]);
  return total;
}

void flush(Vec v, double* acc, int64_t count) {
  for (int64_t i = 0; i < count; ++i) acc[i] += double(v[i]);
}

void column_sum(int64_t rows, int64_t row, int64_t n, const float* x, double* acc) {
  for (int64_t r = 0; r < rows; r += kRun) {
    const float* block = x + r * row;
    const int64_t count = rows - r < kRun ? rows - r : kRun;
    int64_t j = 0;
    for (; j + 2 * kLanes <= n; j += 2 * kLanes) {
      Vec a{}, b{};
      for (int64_t k = 0; k < count; ++k) {
        a += load(block + k * row + j);
        b += load(block + k * row + j + kLanes);
      }
      flush(a, acc + j, kLanes);
      flush(b, acc + j + kLanes, kLanes);
    }
    for (; j + kLanes <= n; j += kLanes) {
      Vec a{};
      for (int64_t k = 0; k < count; ++k) a += load(block + k * row + j);
      flush(a, acc + j, kLanes);
    }
    for (; j < n; ++j) {
      double a = 0;
      for (int64_t k = 0; k < count; ++k) a += double(block[k * row + j]);
      acc[j] += a;
    }
  }
}

Vec larger(Vec a, Vec b) {
  return select((a > b) | (a != a), a, b);
}
float larger(float a, float b) {
  return a > b || a != a ? a : b;
}

float row_extremum(int64_t n, const float* x, float acc, float sign) {
  float best = sign * acc;
  int64_t i = 0;
  if (n >= kLanes) {
    Vec v = sign * load(x);
    for (i = kLanes; i + kLanes <= n; i += kLanes) v = larger(v, sign * load(x + i));
    for (int k = 0; k < kLanes; ++k) best = larger(best, v[k]);
  }
  for (; i < n; ++i) best = larger(best, sign * x[i]);
  return sign * best;
}

void column_extremum(int64_t rows, int64_t row, int64_t n, const float* x, float* acc, float sign) {
  int64_t j = 0;
  for (; j + kLanes <= n; j += kLanes) {
    Vec best = sign * load(acc + j);
    for (int64_t r = 0; r < rows; ++r) best = larger(best, sign * load(x + r * row + j));
    store(acc + j, sign * best);
  }
  for (; j < n; ++j) {
    float best = sign * acc[j];
    for (int64_t r = 0; r < rows; ++r) best = larger(best, sign * x[r * row + j]);
    acc[j] = sign * best;
  }
}

}  // namespace

extern const ReduceKernels reduce_kernels_table = {row_sum, column_sum, row_extremum,
                                                   column_extremum};

}  // namespace kintsugi::cpu::KINTSUGI_ISA
