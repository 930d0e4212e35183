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

// Elements side by side; the row waits in shared memory between its readings, where it fits.
template <int N>
__global__ void softmax_rows(Rows rows, bool logarithm, const Floats<N>* x, Floats<N>* y) {
  const int lanes = rows.lanes, lane = rows.lane();
  Floats<N>* held = rows.copy<Floats<N>>(0, 1);
  for (int64_t first = int64_t(blockIdx.x) * rows.groups(); first < rows.rows;
       first += int64_t(gridDim.x) * rows.groups()) {
    const int64_t row = first + rows.group(), n = row < rows.rows ? rows.n : 0;
    const Floats<N>* src = x + row * rows.n;
    float top = -kInfinity, sum = 0;
    for (int64_t i = lane; i < n; i += lanes) {
      const Floats<N> v = src[i];
      if (rows.held) held[i] = v;
      for (int k = 0; k < N; ++k) top = fmaxf(top, v.at[k]);
    }
    top = row_reduce(top, Greater(), -kInfinity, lanes);
    for (int64_t i = lane; i < n; i += lanes) {
      const Floats<N> v = rows.held ? held[i] : src[i];
      for (int k = 0; k < N; ++k) sum += expf(v.at[k] - top);
    }
    sum = row_sum(sum, lanes);
    const float scale = 1 / sum, shift = logf(sum);
    for (int64_t i = lane; i < n; i += lanes) {
      Floats<N> v = rows.held ? held[i] : src[i];
      for (int k = 0; k < N; ++k) {
        const float shifted = v.at[k] - top;
        v.at[k] = logarithm ? shifted - shift : expf(shifted) * scale;
      }
      y[row * rows.n + i] = v;
    }
  }
}

template <int N>
__global__ void softmax_backward_rows(Rows rows, bool logarithm, const Floats<N>* y,
                                      const Floats<N>* dy, Floats<N>* dx) {
  const int lanes = rows.lanes, lane = rows.lane();
  Floats<N>*held_y = rows.copy<Floats<N>>(0, 2), *held_dy = rows.copy<Floats<N>>(1, 2);
  for (int64_t first = int64_t(blockIdx.x) * rows.groups(); first < rows.rows;
       first += int64_t(gridDim.x) * rows.groups()) {
    const int64_t row = first + rows.group(), n = row < rows.rows ? rows.n : 0;
    const Floats<N>*value = y + row * rows.n, *grad = dy + row * rows.n;
    float sum = 0;
    for (int64_t i = lane; i < n; i += lanes) {
      const Floats<N> v = value[i], d = grad[i];
      if (rows.held) {
        held_y[i] = v;
        held_dy[i] = d;
      }
      for (int k = 0; k < N; ++k) sum += logarithm ? d.at[k] : d.at[k] * v.at[k];
    }
    sum = row_sum(sum, lanes);
    for (int64_t i = lane; i < n; i += lanes) {
      const Floats<N> v = rows.held ? held_y[i] : value[i];
      Floats<N> d = rows.held ? held_dy[i] : grad[i];
      for (int k = 0; k < N; ++k) {
        d.at[k] = logarithm ? d.at[k] - expf(v.at[k]) * sum : v.at[k] * (d.at[k] - sum);
      }
      dx[row * rows.n + i] = d;
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
__global__ void softmax_columns(Extents e, Columns columns, bool logarithm, const float* x,
                                float* y) {
  Mass* shared = dynamic_shared<Mass>();
  const int column = columns.column(), row = columns.row();
  for (int64_t b = blockIdx.x; b < columns.tiles; b += gridDim.x) {
    const int64_t c = b * columns.width + column;
    const int64_t first = c / e.inner * e.n * e.inner + c % e.inner;
    const bool mine = row < columns.rows && c < e.outer * e.inner;
    Mass mass{-kInfinity, 0};
    for (int64_t i = row; mine && i < e.n; i += columns.rows) {
      const float v = x[first + i * e.inner];
      mass = merged(mass, mass_of(v));
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
      const float shifted = x[first + i * e.inner] - mass.top;
      y[first + i * e.inner] = logarithm ? shifted - shift : expf(shifted) * scale;
    }
  }
}

__global__ void softmax_backward_columns(Extents e, Columns columns, bool logarithm, const float* y,
                                         const float* dy, float* dx) {
  float* shared = dynamic_shared<float>();
  const int column = columns.column(), row = columns.row();
  for (int64_t b = blockIdx.x; b < columns.tiles; b += gridDim.x) {
    const int64_t c = b * columns.width + column;
    const int64_t first = c / e.inner * e.n * e.inner + c % e.inner;
    const bool mine = row < columns.rows && c < e.outer * e.inner;
    float sum = 0;
    for (int64_t i = row; mine && i < e.n; i += columns.rows) {
      const int64_t at = first + i * e.inner;
      sum += logarithm ? dy[at] : dy[at] * y[at];
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
      dx[at] = logarithm ? dy[at] - expf(y[at]) * sum : y[at] * (dy[at] - sum);
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

bool takes(const Tensor& a, const Tensor& b) {
  return a.dtype() == DType::kF32 && a.is_dense() && a.strides() == b.strides();
}

}  // namespace

bool softmax(const Tensor& x, int dim, bool logarithm, const Tensor& y) {
  if (!takes(x, y)) return false;
  if (x.numel() == 0) return true;
  const char* op = logarithm ? "log_softmax" : "softmax";
  const Extents e = extents(x, dim);
  const float* src = pointer<float>(x);
  float* dst = pointer<float>(y);
  if (e.inner > 1) {
    const Columns columns = columns_of(e);
    launch(op, softmax_columns, blocks_for(columns.tiles, 1), columns.threads,
           columns.rows > 1 ? size_t(columns.threads) * sizeof(Mass) : 0, e, columns, logarithm,
           src, dst);
    return true;
  }
  visit_width(e.n % 4 == 0 && in_fours(src, dst), [&](auto wide) {
    using V = Floats<decltype(wide)::value>;
    const Rows rows(e.outer, e.n / decltype(wide)::value, sizeof(V), 1);
    launch(op, softmax_rows<decltype(wide)::value>, rows.blocks(), rows.threads, rows.shared, rows,
           logarithm, reinterpret_cast<const V*>(src), reinterpret_cast<V*>(dst));
  });
  return true;
}

bool softmax_backward(const Tensor& y, const Tensor& dy, int dim, bool logarithm,
                      const Tensor& dx) {
  if (!takes(y, dy) || !takes(y, dx)) return false;
  if (y.numel() == 0) return true;
  const char* op = logarithm ? "log_softmax_backward" : "softmax_backward";
  const Extents e = extents(y, dim);
  const float *value = pointer<float>(y), *grad = pointer<float>(dy);
  float* dst = pointer<float>(dx);
  if (e.inner > 1) {
    const Columns columns = columns_of(e);
    launch(op, softmax_backward_columns, blocks_for(columns.tiles, 1), columns.threads,
           columns.rows > 1 ? size_t(columns.threads) * sizeof(float) : 0, e, columns, logarithm,
           value, grad, dst);
    return true;
  }
  visit_width(e.n % 4 == 0 && in_fours(value, grad, dst), [&](auto wide) {
    using V = Floats<decltype(wide)::value>;
    const Rows rows(e.outer, e.n / decltype(wide)::value, sizeof(V), 2);
    launch(op, softmax_backward_rows<decltype(wide)::value>, rows.blocks(), rows.threads,
           rows.shared, rows, logarithm, reinterpret_cast<const V*>(value),
           reinterpret_cast<const V*>(grad), reinterpret_cast<V*>(dst));
  });
  return true;
}

}  // namespace kintsugi::cuda
