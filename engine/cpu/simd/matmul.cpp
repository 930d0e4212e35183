#include "kintsugi/engine/cpu/simd/matmul.h"

#include "kintsugi/engine/cpu/simd/tile.h"

namespace kintsugi::cpu::KINTSUGI_ISA {

namespace {

void pack(const float* b, int64_t row, int64_t column, int64_t k, int64_t n, float* packed) {
  const int64_t padded = (n + kLanes - 1) / kLanes * kLanes;
  if (column == 1) {
    for (int64_t p = 0; p < k; ++p, b += row, packed += padded) {
      int64_t j = 0;
      for (; j + kLanes <= n; j += kLanes) store(packed + j, load(b + j));
      if (j < n) store(packed + j, Part(n - j).get(b + j));
    }
    return;
  }
  // Column by column in strips of 16 rows: reads stay in few lines, writes in the first cache.
  constexpr int64_t kStrip = 16;
  for (int64_t p = 0; p < k; p += kStrip) {
    const int64_t stop = p + kStrip < k ? p + kStrip : k;
    for (int64_t j = 0; j < n; ++j) {
      for (int64_t q = p; q < stop; ++q) packed[q * padded + j] = b[q * row + j * column];
    }
    for (int64_t q = p; q < stop; ++q) {
      for (int64_t j = n; j < padded; ++j) packed[q * padded + j] = 0;
    }
  }
}

void matrix_product(int64_t m, int64_t n, int64_t k, const float* a, int64_t a_row,
                    int64_t a_column, const float* b, int64_t b_row, float* c, int64_t c_row,
                    bool accumulate) {
  product({a, a_row, a_column, b, b_row, c, c_row, k, accumulate}, m, n);
}

constexpr int64_t kChunk = 128;  // rows that are summed in f32 before they go into the f64 sum

template <int kVecs>
void sum_vectors(const float* x, int64_t row, int64_t rows, double* sums) {
  for (int64_t start = 0; start < rows; start += kChunk) {
    const int64_t stop = start + kChunk < rows ? start + kChunk : rows;
    Vec acc[kVecs] = {};
    for (int64_t i = start; i < stop; ++i) {
#pragma GCC unroll 4
      for (int j = 0; j < kVecs; ++j) acc[j] += load(x + i * row + j * kLanes);
    }
    for (int j = 0; j < kVecs; ++j) {
      for (int l = 0; l < kLanes; ++l) sums[j * kLanes + l] += acc[j][l];
    }
  }
}

void column_sums(const float* x, int64_t row, int64_t rows, int64_t columns, double* sums) {
  int64_t j = 0;
  for (; j + 4 * kLanes <= columns; j += 4 * kLanes) sum_vectors<4>(x + j, row, rows, sums + j);
  for (; j + kLanes <= columns; j += kLanes) sum_vectors<1>(x + j, row, rows, sums + j);
  if (j == columns) return;
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t l = j; l < columns; ++l) sums[l] += x[i * row + l];
  }
}

}  // namespace

extern const MatmulKernels matmul_kernels_table = {kLanes, pack, matrix_product, column_sums};

}  // namespace kintsugi::cpu::KINTSUGI_ISA
