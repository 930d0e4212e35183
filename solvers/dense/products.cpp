#include "kintsugi/solvers/dense/products.h"

#include <algorithm>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "kintsugi/engine/cpu/parallel.h"
#include "kintsugi/solvers/dense/kernels.h"

namespace kintsugi::solvers::dense {

namespace {

constexpr size_t kRun = 256;          // terms summed in T before they reach float64
constexpr size_t kPanelsPerTask = 8;  // row panels of one task: they stay in the second-level cache
constexpr size_t kWorkPerThread =
    1 << 16;  // multiply-adds below which a thread costs more than it gives

size_t panels(size_t count, size_t width) {
  return (count + width - 1) / width;
}

// Panel of `width` rows of x, terms [p0, p0 + k): packed (k, width), zero beyond `count`.
template <class T>
void pack(const Strided<T>& x, size_t first, size_t count, size_t width, size_t p0, size_t k,
          T* out) {
  for (size_t p = 0; p < k; ++p) {
    const T* src = x.data + first * x.row + (p0 + p) * x.col;
    for (size_t r = 0; r < count; ++r) out[p * width + r] = src[r * x.row];
    for (size_t r = count; r < width; ++r) out[p * width + r] = 0;
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
  const size_t run = std::min(k, kRun);
  std::vector<T> a_packed(row_panels * mr * run), b_packed(col_panels * nr * run);

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
      double edge[16 * 64] = {};
      double* out = whole ? c + i * ldc + j : edge;
      const size_t stride = whole ? ldc : nr;
      if constexpr (std::is_same_v<T, float>) {
        kernels.f32(terms, a_panel, b_panel, scale, out, stride);
      } else {
        kernels.f64(terms, a_panel, b_panel, scale, out, stride);
      }
      if (whole) continue;
      for (size_t x = i; x < std::min(i + mr, m); ++x) {
        for (size_t y = j; y < std::min(j + nr, n); ++y)
          c[x * ldc + y] += edge[(x - i) * nr + y - j];
      }
    }
  };

  for (size_t p0 = 0; p0 < k; p0 += run) {
    const size_t terms = std::min(run, k - p0);
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
