// Compiled once per instruction set; includes nothing of the standard library with code in it.
#include <string.h>

#include "kintsugi/solvers/dense/kernels.h"

namespace kintsugi::solvers::dense::KINTSUGI_ISA {

namespace {

#if defined(__AVX512F__)
constexpr size_t kBytes = 64, kRows = 12;
#elif defined(__AVX2__)
constexpr size_t kBytes = 32, kRows = 6;
#else
constexpr size_t kBytes = 16, kRows = 4;
#endif

typedef float FloatVector __attribute__((vector_size(kBytes)));
typedef double DoubleVector __attribute__((vector_size(kBytes)));

template <class T, class Vector>
void tile(size_t k, const T* a, const T* b, double scale, double* c, size_t ldc) {
  constexpr size_t kLanes = kBytes / sizeof(T);
  Vector sum[kRows][2] = {};
  for (size_t p = 0; p < k; ++p, a += kRows, b += 2 * kLanes) {
    Vector b0, b1;
    memcpy(&b0, b, kBytes);
    memcpy(&b1, b + kLanes, kBytes);
#pragma GCC unroll 12
    for (size_t r = 0; r < kRows; ++r) {
      sum[r][0] += a[r] * b0;
      sum[r][1] += a[r] * b1;
    }
  }
#pragma GCC unroll 12
  for (size_t r = 0; r < kRows; ++r) {
    for (size_t v = 0; v < 2; ++v) {
      for (size_t lane = 0; lane < kLanes; ++lane) {
        c[r * ldc + v * kLanes + lane] += scale * double(sum[r][v][lane]);
      }
    }
  }
}

size_t differing_bits(const unsigned long long* a, const unsigned long long* b, size_t words) {
  size_t count = 0;
  for (size_t w = 0; w < words; ++w) {
#if defined(__AVX2__)
    count += size_t(__builtin_popcountll(a[w] ^ b[w]));
#else
    // The baseline has no popcount instruction: the classic sums in parallel.
    unsigned long long x = a[w] ^ b[w];
    x -= (x >> 1) & 0x5555555555555555ull;
    x = (x & 0x3333333333333333ull) + ((x >> 2) & 0x3333333333333333ull);
    x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0full;
    count += size_t((x * 0x0101010101010101ull) >> 56);
#endif
  }
  return count;
}

}  // namespace

extern const ProductKernels product_kernels_table;
const ProductKernels product_kernels_table = {
    kRows,
    2 * kBytes / sizeof(float),
    2 * kBytes / sizeof(double),
    tile<float, FloatVector>,
    tile<double, DoubleVector>,
    differing_bits,
};

}  // namespace kintsugi::solvers::dense::KINTSUGI_ISA
