// The arguments of the attention kernels, and the choice of an engine for them. Only .cu files
// include it. Never installed.
#pragma once

#include "kintsugi/engine/cuda/attention_tile.h"

namespace kintsugi::cuda::tiles {

inline constexpr float kLog2E = 1.44269504f, kLn2 = 0.69314718f;

// The heads of a tensor (B,H,rows,columns).
template <class T>
struct Heads {
  T* data;
  int64_t batch, head, row;
  bool vectors, pairs;  // rows begin at multiples of 16 bytes, of two elements

  explicit Heads(const Tensor& x)
      : data(pointer<T>(x)),
        batch(x.strides()[0]),
        head(x.strides()[1]),
        row(x.strides()[2]),
        vectors(begins_at(kLanesOf<T>)),
        pairs(begins_at(2)) {}
  __device__ __forceinline__ T* at(int64_t b, int64_t h) const {
    return data + b * batch + h * head;
  }
  __device__ __forceinline__ Rows<T> rows(int64_t b, int64_t h) const {
    return {at(b, h), row, vectors};
  }

 private:
  bool begins_at(int lanes) const {
    return reinterpret_cast<uintptr_t>(data) % (size_t(lanes) * sizeof(T)) == 0 &&
           batch % lanes == 0 && head % lanes == 0 && row % lanes == 0;
  }
};

// (B,H,N,M) of any strides, those within a head up to kMaxStep; no data where it is undefined.
struct Plane {
  static constexpr int64_t kMaxStep = 1 << 24;  // kSide of them fit an int

  float* data;
  int64_t batch = 0, head = 0;
  int row = 0, column = 0;

  explicit Plane(const Tensor& x) : data(pointer<float>(x)) {
    if (!data) return;
    const auto step = [&](int i) { return x.size(i) == 1 ? 0 : x.strides()[i]; };
    batch = step(0);
    head = step(1);
    row = int(step(2));
    column = int(step(3));
  }

  // What a block sees of it, from element (i,j) of a head on.
  struct Patch {
    float* at = nullptr;
    int row = 0, column = 0;
    __device__ __forceinline__ float& operator()(int i, int j) const {
      return at[i * row + j * column];
    }
  };
  __device__ __forceinline__ Patch patch(int64_t b, int64_t h, int64_t i, int64_t j) const {
    if (!data) return {};
    return {data + b * batch + h * head + i * row + j * column, hidden(row), hidden(column)};
  }
};

template <class T>
struct Problem {
  Heads<T> q, k, v;
  Plane bias;
  float scale;
  int64_t heads, n, m;
  int d, e;

  Problem(const Tensor& queries, const Tensor& keys, const Tensor& values, const Tensor& plane,
          double factor)
      : q(queries),
        k(keys),
        v(values),
        bias(plane),
        scale(float(factor)),
        heads(queries.size(1)),
        n(queries.size(2)),
        m(keys.size(2)),
        d(int(queries.size(3))),
        e(int(values.size(3))) {}
};

__host__ __device__ inline int tiles_of(int64_t rows) {
  return int((rows + kSide - 1) / kSide);
}

// Heads wider than E::kWidth come in chunks of it, one after the other for the scores and a block
// each for the results.
template <class E>
__host__ __device__ int chunks_of(int columns) {
  if (E::kWidth < kMaxWidth) return 1;
  return columns <= E::kWidth ? 1 : (columns + E::kWidth - 1) / E::kWidth;
}

// The block's place: rows first ... first + rows - 1 of a head, and chunk `part` of the result.
struct Place {
  int64_t head, first;
  int b, h, rows, part;

  __device__ __forceinline__ Place(int parts, int tiles, int64_t heads, int64_t count) {
    const unsigned index = blockIdx.x / unsigned(parts), any = index / unsigned(tiles);
    part = int(blockIdx.x % unsigned(parts));
    head = any;
    first = int64_t(index % unsigned(tiles)) * kSide;
    b = int(any / unsigned(heads));
    h = int(any % unsigned(heads));
    rows = int(count - first < kSide ? count - first : kSide);
  }
  // Tile `tile` of a head, whole.
  __device__ __forceinline__ Place(int64_t b, int64_t h, int64_t tile, int64_t heads, int64_t count)
      : head(b * heads + h), first(tile * kSide), b(int(b)), h(int(h)), part(0) {
    rows = int(count - first < kSide ? count - first : kSide);
  }
};

// A tile of products becomes the binary logarithms of weights that are not normalised yet; past the
// last column the weights are 0.
template <class E>
__device__ __forceinline__ void score(typename E::Scores& s, float scale, const Plane::Patch& bias,
                                      int rows, int columns) {
  KINTSUGI_UNROLL
  for (int i = 0; i < E::kBlocks; ++i) {
    KINTSUGI_UNROLL
    for (int j = 0; j < E::kInner; ++j) s[i][j] *= kLog2E * scale;
  }
  const auto each = [&](const auto& change) {
    KINTSUGI_UNROLL
    for (int i = 0; i < E::kBlocks; ++i) {
      if (E::beyond(i, columns)) break;
      KINTSUGI_UNROLL
      for (int j = 0; j < E::kInner; ++j) {
        change(s[i][j], E::row_of(E::slot(i, j)), E::column(i, j));
      }
    }
  };
  if (bias.at) {
    each([&](float& x, int row, int column) {
      if (row < rows && column < columns) x += kLog2E * bias(row, column);
    });
  }
  if (columns < kSide) {
    each([&](float& x, int, int column) {
      if (column >= columns) x = -INFINITY;
    });
  }
}

// A block's sums times the factors of their rows, as rows first ... of a matrix of `columns`.
template <class E, class T>
__device__ __forceinline__ void write_rows(const typename E::Outs& sums,
                                           const float (&factors)[E::kSlots], const Heads<T>& to,
                                           const Place& place, int columns) {
  T* const rows = to.at(place.b, place.h) + place.first * to.row;
  KINTSUGI_UNROLL
  for (int i = 0; i < E::kOutBlocks; ++i) {
    KINTSUGI_UNROLL
    for (int j = 0; j < E::kOutInner; j += 2) {
      const int slot = E::out_slot(i, j), row = E::row_of(slot);
      const int column = place.part * E::kWidth + E::out_column(i, j);
      if (row >= place.rows || column >= columns) continue;
      T* const at = rows + row * to.row + column;
      const Floats<2> two{{factors[slot] * sums[i][j], factors[slot] * sums[i][j + 1]}};
      if (to.pairs && column + 1 < columns) {
        write(at, two);
      } else {
        at[0] = narrow<T>(two.at[0]);
        if (column + 1 < columns) at[1] = narrow<T>(two.at[1]);
      }
    }
  }
}

inline bool takes_bias(const Tensor& x) {
  if (!x.defined()) return true;
  const auto fits = [&](int i) { return x.size(i) == 1 || x.strides()[i] <= Plane::kMaxStep; };
  return fits(2) && fits(3);
}

inline bool takes(const Tensor& x, DType dtype) {
  return (dtype == DType::kF32 || dtype == DType::kBF16) && x.dtype() == dtype &&
         (x.size(3) <= 1 || x.strides()[3] == 1);
}

// Calls run(E()) for heads of at most `width` columns.
template <template <int> class E, class Run>
void with_width(int width, const Run& run) {
  if (width <= 32)
    run(E<32>());
  else if (width <= 64)
    run(E<64>());
  else
    run(E<kMaxWidth>());
}
template <class Run>
void with_engine(DType dtype, int width, const Run& run) {
  switch (math_of(dtype)) {
    case Math::kF32:
      return with_width<Fma>(width, run);
    case Math::kTF32:
      return with_width<Tf32>(width, run);
    case Math::kBF16:
      return with_width<Bf16>(width, run);
  }
}

}  // namespace kintsugi::cuda::tiles
