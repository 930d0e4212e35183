#include "kintsugi/engine/cuda/softmax.h"

#include <cmath>
#include <limits>

#include "kintsugi/engine/cuda/columns.h"
#include "kintsugi/engine/cuda/rows.h"

namespace kintsugi::cuda {

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// A NaN is none here: it comes back with the sum.
struct Greater {
  __device__ __forceinline__ float operator()(float a, float b) const { return fmaxf(a, b); }
};

// Dense memory is (outer, n, inner) for whatever dimension.
struct Extents {
  int64_t outer, n, inner;
};

Extents extents(const Tensor& x, int dim) {
  const int64_t n = x.size(dim);
  const int64_t inner = n == 1 ? 1 : x.strides()[dim];
  return {x.numel() / (n * inner), n, inner};
}

// Elements side by side; the row waits in registers, as exponentials after their sum.
template <class T, int N>
__global__ void softmax_rows(Rows rows, bool logarithm, const T* x, T* y) {
  constexpr int kGroups = kHeld<N>;
  const int lanes = rows.lanes, lane = rows.lane();
  const int64_t span = kGroups * lanes;
  for (int64_t first = int64_t(blockIdx.x) * rows.groups(); first < rows.rows;
       first += int64_t(gridDim.x) * rows.groups()) {
    const int64_t row = first + rows.group(), n = row < rows.rows ? rows.n : 0;
    const T* src = x + row * rows.n * N;
    T* dst = y + row * rows.n * N;
    Floats<N> held[kGroups];
    float top = -kInfinity, sum = 0;
    const auto fetch = [&](int k, int64_t i) { held[k] = read<N>(src + i * N); };
    const auto raise = [&](int k, int64_t) {
      KINTSUGI_UNROLL
      for (int e = 0; e < N; ++e) held[k].at[e] = expf(held[k].at[e] - top);
    };
    for (int64_t from = lane; from < n; from += span) {
      rows.each<kGroups>(from, n, fetch);
      rows.each<kGroups>(from, n, [&](int k, int64_t) {
        KINTSUGI_UNROLL
        for (int e = 0; e < N; ++e) top = fmaxf(top, held[k].at[e]);
      });
    }
    top = row_reduce(top, Greater(), lanes);
    for (int64_t from = lane; from < n; from += span) {
      if (n > span) rows.each<kGroups>(from, n, fetch);
      if (logarithm) {
        rows.each<kGroups>(from, n, [&](int k, int64_t) {
          KINTSUGI_UNROLL
          for (int e = 0; e < N; ++e) sum += expf(held[k].at[e] - top);
        });
      } else {
        rows.each<kGroups>(from, n, raise);
        rows.each<kGroups>(from, n, [&](int k, int64_t) { sum += sum_of(held[k]); });
      }
    }
    sum = row_sum(sum, lanes);
    const float scale = 1 / sum, shift = logf(sum);
    for (int64_t from = lane; from < n; from += span) {
      if (n > span) {
        rows.each<kGroups>(from, n, fetch);
        if (!logarithm) rows.each<kGroups>(from, n, raise);
      }
      rows.each<kGroups>(from, n, [&](int k, int64_t i) {
        KINTSUGI_UNROLL
        for (int e = 0; e < N; ++e) {
          float& v = held[k].at[e];
          v = logarithm ? v - top - shift : v * scale;
        }
        write(dst + i * N, held[k]);
      });
    }
  }
}

template <class T, int N>
__global__ void softmax_backward_rows(Rows rows, bool logarithm, const T* y, const T* dy, T* dx) {
  constexpr int kGroups = kHeldOfTwo<N>;
  const int lanes = rows.lanes, lane = rows.lane();
  const int64_t span = kGroups * lanes;
  for (int64_t first = int64_t(blockIdx.x) * rows.groups(); first < rows.rows;
       first += int64_t(gridDim.x) * rows.groups()) {
    const int64_t row = first + rows.group(), n = row < rows.rows ? rows.n : 0;
    const T *value = y + row * rows.n * N, *grad = dy + row * rows.n * N;
    T* dst = dx + row * rows.n * N;
    Vector<T, N> held_y[kGroups], held_dy[kGroups];
    const auto fetch = [&](int k, int64_t i) {
      held_y[k] = load<N>(value + i * N);
      held_dy[k] = load<N>(grad + i * N);
    };
    float sum = 0;
    for (int64_t from = lane; from < n; from += span) {
      rows.each<kGroups>(from, n, fetch);
      rows.each<kGroups>(from, n, [&](int k, int64_t) {
        KINTSUGI_UNROLL
        for (int e = 0; e < N; ++e) {
          const float d = widen(held_dy[k].at[e]);
          sum += logarithm ? d : d * widen(held_y[k].at[e]);
        }
      });
    }
    sum = row_sum(sum, lanes);
    for (int64_t from = lane; from < n; from += span) {
      if (n > span) rows.each<kGroups>(from, n, fetch);
      rows.each<kGroups>(from, n, [&](int k, int64_t i) {
        const Floats<N> v = widen(held_y[k]);
        Floats<N> d = widen(held_dy[k]);
        KINTSUGI_UNROLL
        for (int e = 0; e < N; ++e) {
          d.at[e] = logarithm ? d.at[e] - expf(v.at[e]) * sum : v.at[e] * (d.at[e] - sum);
        }
        write(dst + i * N, d);
      });
    }
  }
}

// The largest of some elements and the sum of exp(element - largest), NaN where one is NaN or
// infinity. An element of -infinity adds nothing.
struct Mass {
  float top, sum;
};
__device__ __forceinline__ Mass mass_of(float v) {
  if (v > -kInfinity) return {v, 1 + (v - v)};
  return {-kInfinity, v == v ? 0 : v};
}
__device__ __forceinline__ Mass merged(Mass a, Mass b) {
  const float top = fmaxf(a.top, b.top), low = fminf(a.top, b.top);
  if (low == -kInfinity) return {top, a.sum + b.sum};
  const float rest = expf(low - top);
  return {top, a.top < b.top ? a.sum * rest + b.sum : a.sum + b.sum * rest};
}

// Elements `inner` apart: neighbouring threads have neighbouring columns, and the rows of a block
// share a column's elements.
template <class T>
__global__ void softmax_columns(Extents e, Columns columns, bool logarithm, const T* x, T* y) {
  Mass* shared = dynamic_shared<Mass>();
  const int column = columns.column(), row = columns.row();
  for (int64_t b = blockIdx.x; b < columns.tiles; b += gridDim.x) {
    const int64_t c = b * columns.width + column;
    const int64_t first = c / e.inner * e.n * e.inner + c % e.inner;
    const bool mine = row < columns.rows && c < e.outer * e.inner;
    Mass mass{-kInfinity, 0};
    for (int64_t i = row; mine && i < e.n; i += columns.rows) {
      mass = merged(mass, mass_of(widen(x[first + i * e.inner])));
    }
    if (columns.rows > 1) {
      __syncthreads();
      shared[threadIdx.x] = mass;
      merge_rows(row, columns.rows, [&](int to, int from) {
        Mass& a = shared[to * columns.width + column];
        a = merged(a, shared[from * columns.width + column]);
      });
      __syncthreads();
      mass = shared[column];
    }
    const float scale = 1 / mass.sum, shift = logf(mass.sum);
    for (int64_t i = row; mine && i < e.n; i += columns.rows) {
      const float shifted = widen(x[first + i * e.inner]) - mass.top;
      y[first + i * e.inner] = narrow<T>(logarithm ? shifted - shift : expf(shifted) * scale);
    }
  }
}

template <class T>
__global__ void softmax_backward_columns(Extents e, Columns columns, bool logarithm, const T* y,
                                         const T* dy, T* dx) {
  float* shared = dynamic_shared<float>();
  const int column = columns.column(), row = columns.row();
  for (int64_t b = blockIdx.x; b < columns.tiles; b += gridDim.x) {
    const int64_t c = b * columns.width + column;
    const int64_t first = c / e.inner * e.n * e.inner + c % e.inner;
    const bool mine = row < columns.rows && c < e.outer * e.inner;
    float sum = 0;
    for (int64_t i = row; mine && i < e.n; i += columns.rows) {
      const int64_t at = first + i * e.inner;
      const float d = widen(dy[at]);
      sum += logarithm ? d : d * widen(y[at]);
    }
    if (columns.rows > 1) {
      __syncthreads();
      shared[threadIdx.x] = sum;
      merge_rows(row, columns.rows, [&](int to, int from) {
        shared[to * columns.width + column] += shared[from * columns.width + column];
      });
      __syncthreads();
      sum = shared[column];
    }
    for (int64_t i = row; mine && i < e.n; i += columns.rows) {
      const int64_t at = first + i * e.inner;
      const float v = widen(y[at]), d = widen(dy[at]);
      dx[at] = narrow<T>(logarithm ? d - expf(v) * sum : v * (d - sum));
    }
  }
}

// Short columns have a thread each, long ones are shared by the rows of narrow blocks.
Columns columns_of(const Extents& e) {
  const int64_t all = e.outer * e.inner;
  Columns columns(all, e.n >= 64 ? 32 : kThreads);
  if (e.n >= 64 && e.inner < columns.width) columns = Columns(e.inner);
  columns.tiles = (all + columns.width - 1) / columns.width;
  return columns;
}

bool alike(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.is_dense() && a.strides() == b.strides();
}

}  // namespace

bool softmax(const Tensor& x, int dim, bool logarithm, const Tensor& y) {
  if (!alike(x, y)) return false;
  const char* op = logarithm ? "log_softmax" : "softmax";
  return visit_storage(x, [&](auto zero) {
    using T = decltype(zero);
    if (x.numel() == 0) return;
    const Extents e = extents(x, dim);
    const T* src = pointer<T>(x);
    T* dst = pointer<T>(y);
    if (e.inner > 1) {
      const Columns columns = columns_of(e);
      launch(op, softmax_columns<T>, blocks_for(columns.tiles, 1), columns.threads,
             columns.rows > 1 ? size_t(columns.threads) * sizeof(Mass) : 0, e, columns, logarithm,
             src, dst);
      return;
    }
    const auto run = [&](auto width) {
      constexpr int kN = decltype(width)::value;
      const Rows rows(e.outer, e.n / kN, kHeld<kN>);
      launch(op, softmax_rows<T, kN>, rows.blocks(), rows.threads, Rows::kScratch, rows, logarithm,
             src, dst);
    };
    visit_width<T>(run, e.n, src, dst);
  });
}

bool softmax_backward(const Tensor& y, const Tensor& dy, int dim, bool logarithm,
                      const Tensor& dx) {
  if (!alike(y, dy) || !alike(y, dx)) return false;
  const char* op = logarithm ? "log_softmax_backward" : "softmax_backward";
  return visit_storage(y, [&](auto zero) {
    using T = decltype(zero);
    if (y.numel() == 0) return;
    const Extents e = extents(y, dim);
    const T *value = pointer<T>(y), *grad = pointer<T>(dy);
    T* dst = pointer<T>(dx);
    if (e.inner > 1) {
      const Columns columns = columns_of(e);
      launch(op, softmax_backward_columns<T>, blocks_for(columns.tiles, 1), columns.threads,
             columns.rows > 1 ? size_t(columns.threads) * sizeof(float) : 0, e, columns, logarithm,
             value, grad, dst);
      return;
    }
    const auto run = [&](auto width) {
      constexpr int kN = decltype(width)::value;
      const Rows rows(e.outer, e.n / kN, kHeldOfTwo<kN>);
      launch(op, softmax_backward_rows<T, kN>, rows.blocks(), rows.threads, Rows::kScratch, rows,
             logarithm, value, grad, dst);
    };
    visit_width<T>(run, e.n, value, grad, dst);
  });
}

}  // namespace kintsugi::cuda
