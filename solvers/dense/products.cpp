#include "kintsugi/solvers/dense/products.h"

#include <algorithm>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "kintsugi/engine/cpu/parallel.h"
#include "kintsugi/solvers/dense/kernels.h"

namespace kintsugi::solvers::dense {

namespace {

constexpr size_t kRun = 256;                 // terms summed in T before they reach float64
constexpr size_t kPacked = size_t{4} << 20;  // bytes of packed operands
constexpr size_t kEdge = 16 * 64;            // the largest tile of any instruction set
constexpr size_t kPanelsPerTask = 8;  // row panels of one task: they stay in the second-level cache
constexpr size_t kWorkPerThread = 1 << 20;  // multiply-adds that repay a thread's start

size_t panels(size_t count, size_t width) {
  return (count + width - 1) / width;
}

// Panel of `width` rows of x, terms [p0, p0 + k): packed (k, width), zero beyond `count`.
template <class T>
void pack(const Strided<T>& x, size_t first, size_t count, size_t width, size_t p0, size_t k,
          T* out) {
  const T* from = x.data + first * x.row + p0 * x.col;
  if (x.row == 1) {
    for (size_t p = 0; p < k; ++p) {
      for (size_t r = 0; r < count; ++r) out[p * width + r] = from[p * x.col + r];
      for (size_t r = count; r < width; ++r) out[p * width + r] = 0;
    }
    return;
  }
  // Row by row over a stretch of terms whose packed form stays in the first-level cache.
  for (size_t begin = 0; begin < k; begin += kRun) {
    const size_t end = std::min(k, begin + kRun);
    for (size_t r = 0; r < width; ++r) {
      const T* row = from + r * x.row;
      for (size_t p = begin; p < end; ++p) out[p * width + r] = r < count ? row[p * x.col] : 0;
    }
  }
}

}  // namespace

template <class T>
void add_products(size_t m, size_t n, size_t k, Strided<T> a, Strided<T> b, double scale, double* c,
                  size_t ldc, Part part) {
  if (m == 0 || n == 0 || k == 0) return;
  const ProductKernels& kernels = product_kernels();
  const size_t mr = kernels.rows;
  const size_t nr = std::is_same_v<T, float> ? kernels.cols_f32 : kernels.cols_f64;
  const size_t row_panels = panels(m, mr), col_panels = panels(n, nr);
  // Terms packed at once: as many runs as a few megabytes hold, so that threads meet seldom.
  const size_t per_term = (row_panels * mr + col_panels * nr) * sizeof(T);
  const size_t block = std::min(k, std::max<size_t>(1, kPacked / (per_term * kRun)) * kRun);
  std::vector<T> a_packed(row_panels * mr * block), b_packed(col_panels * nr * block);

  struct Task {
    size_t row_panel;
    size_t col_panel;
  };
  std::vector<Task> tasks;
  for (size_t r = 0; r < row_panels; r += kPanelsPerTask) {
    for (size_t q = 0; q < col_panels; ++q) {
      const bool below = part == Part::kUpper && r * mr >= (q + 1) * nr;
      if (!below) tasks.push_back({r, q});
    }
  }

  const auto multiply = [&](const Task& task, size_t terms) {
    const size_t j = task.col_panel * nr;
    const size_t last = std::min(task.row_panel + kPanelsPerTask, row_panels);
    for (size_t r = task.row_panel; r < last; ++r) {
      const size_t i = r * mr;
      if (part == Part::kUpper && i >= j + nr) break;
      const T* a_panel = a_packed.data() + r * mr * terms;
      const T* b_panel = b_packed.data() + task.col_panel * nr * terms;
      const bool whole = i + mr <= m && j + nr <= n;
      double edge[kEdge];
      if (!whole) std::fill_n(edge, mr * nr, 0.0);
      double* out = whole ? c + i * ldc + j : edge;
      const size_t stride = whole ? ldc : nr;
      for (size_t p = 0; p < terms; p += kRun) {
        const size_t length = std::min(kRun, terms - p);
        const T *a_run = a_panel + p * mr, *b_run = b_panel + p * nr;
        if constexpr (std::is_same_v<T, float>) {
          kernels.f32(length, a_run, b_run, scale, out, stride);
        } else {
          kernels.f64(length, a_run, b_run, scale, out, stride);
        }
      }
      if (whole) continue;
      for (size_t x = i; x < std::min(i + mr, m); ++x) {
        for (size_t y = j; y < std::min(j + nr, n); ++y)
          c[x * ldc + y] += edge[(x - i) * nr + y - j];
      }
    }
  };

  for (size_t p0 = 0; p0 < k; p0 += block) {
    const size_t terms = std::min(block, k - p0);
    const int64_t pack_grain = int64_t(kWorkPerThread / (terms * nr) + 1);
    cpu::parallel_for(int64_t(row_panels + col_panels), pack_grain,
                      [&](int64_t begin, int64_t end) {
                        for (size_t x = size_t(begin); x < size_t(end); ++x) {
                          if (x < row_panels) {
                            pack(a, x * mr, std::min(mr, m - x * mr), mr, p0, terms,
                                 a_packed.data() + x * mr * terms);
                          } else {
                            const size_t q = x - row_panels;
                            pack(b, q * nr, std::min(nr, n - q * nr), nr, p0, terms,
                                 b_packed.data() + q * nr * terms);
                          }
                        }
                      });
    const int64_t grain = int64_t(kWorkPerThread / (terms * nr * mr * kPanelsPerTask) + 1);
    cpu::parallel_for(int64_t(tasks.size()), grain, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) multiply(tasks[size_t(t)], terms);
    });
  }
}

template void add_products<float>(size_t, size_t, size_t, Strided<float>, Strided<float>, double,
                                  double*, size_t, Part);
template void add_products<double>(size_t, size_t, size_t, Strided<double>, Strided<double>, double,
                                   double*, size_t, Part);

}  // namespace kintsugi::solvers::dense
