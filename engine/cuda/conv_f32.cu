// Convolutions of f32 operands, in f32 or TF32.
#include "kintsugi/engine/cuda/conv_problem.h"
#include "kintsugi/engine/cuda/tile.h"

namespace kintsugi::cuda {

namespace {

__device__ __forceinline__ float4 zeros() {
  return make_float4(0, 0, 0, 0);
}
__device__ __forceinline__ float4 four(const float* at) {
  return *reinterpret_cast<const float4*>(at);
}
// A of Slide: a thread has 4 terms (channels of a tap) of each of 4 pixels.
template <Math kMath>
struct PixelsUnderTaps {
  static constexpr int kRows = 4, kApart = kTileThreads / 4;
  using To = Operand<kMath, kTileRows>;

  const Slide<float>& p;
  const float* image[kRows];
  int row[kRows], column[kRows];
  float4 held[kRows] = {};

  __device__ __forceinline__ PixelsUnderTaps(const Slide<float>& slide, int group, int first)
      : p(slide) {
    KINTSUGI_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const int pixel = first + int(threadIdx.x) / 4 + r * kApart;
      const Taps::Pixel at = p.pixel(pixel < p.pixels ? pixel : 0);
      image[r] = p.source + int64_t(at.image) * p.rows.extent * p.columns.extent * p.cell() +
                 group * p.channels;
      // A row that is never inside for those beyond the last pixel.
      row[r] = pixel < p.pixels ? at.row * p.rows.scale + p.rows.base : -(1 << 30);
      column[r] = at.column * p.columns.scale + p.columns.base;
    }
  }

  __device__ __forceinline__ void load(int k) {
    const int number = k + int(threadIdx.x) % 4 * 4;
    const bool valid = number < p.terms;
    const Taps::Term term = p.term(number);
    const int down = term.row * p.rows.step, across = term.column * p.columns.step;
    const int c = term.block + term.channel;
    KINTSUGI_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const int i = row[r] + down, j = column[r] + across;
      held[r] = valid && inside(i, p.rows.extent) && inside(j, p.columns.extent)
                    ? four(image[r] + (i * p.columns.extent + j) * p.cell() + c)
                    : zeros();
    }
  }

  __device__ __forceinline__ void stage(uint32_t* to) const {
    KINTSUGI_UNROLL
    for (int r = 0; r < kRows; ++r) {
      To::put_terms(to, int(threadIdx.x) % 4 * 4, int(threadIdx.x) / 4 + r * kApart, held[r]);
    }
  }
};

// A matrix whose columns are contiguous: a thread has 4 columns of two neighbouring terms, kUnits
// times.
template <Math kMath, int kColumns>
struct Lines {
  static constexpr int kAcross = kColumns / 4, kAll = kAcross * kTileDepth / 2;
  static constexpr int kUnits = (kAll + kTileThreads - 1) / kTileThreads;
  using To = Operand<kMath, kColumns>;

  float4 held[kUnits][2] = {};

  __device__ __forceinline__ static bool has(int unit) {
    return kAll % kTileThreads == 0 || int(threadIdx.x) + unit * kTileThreads < kAll;
  }
  __device__ __forceinline__ static int column() { return int(threadIdx.x) % kAcross * 4; }
  __device__ __forceinline__ static int term(int unit) {
    return (int(threadIdx.x) + unit * kTileThreads) / kAcross * 2;
  }
  __device__ __forceinline__ void stage(uint32_t* to) const {
    KINTSUGI_UNROLL
    for (int unit = 0; unit < kUnits; ++unit) {
      if (has(unit)) To::put_rows(to, term(unit), column(), held[unit][0], held[unit][1]);
    }
  }
};

// B: lines `stride` apart, a line a term; zeros from line `end` on.
template <Math kMath, int kColumns>
struct LoadLines : Lines<kMath, kColumns> {
  using Base = Lines<kMath, kColumns>;
  const float* from;
  int stride, end;

  // `from`: line 0 at the tile's first column, of which `columns` are there.
  __device__ __forceinline__ LoadLines(const float* from_, int stride_, int end_, int columns)
      : from(from_ + Base::column()), stride(stride_), end(Base::column() < columns ? end_ : 0) {}

  __device__ __forceinline__ void load(int k) {
    KINTSUGI_UNROLL
    for (int unit = 0; unit < Base::kUnits; ++unit) {
      KINTSUGI_UNROLL
      for (int e = 0; e < 2; ++e) {
        const int line = k + Base::term(unit) + e;
        const bool seen = Base::has(unit) && line < end;
        this->held[unit][e] = seen ? four(from + int64_t(line) * stride) : zeros();
      }
    }
  }
};

// N neighbours, as one store where the address allows it.
template <int N>
__device__ __forceinline__ void put(float* to, const float (&v)[N], int room, bool whole) {
  struct alignas(4 * N) Neighbours {
    float v[N];
  };
  if (whole) {
    Neighbours all;
    for (int i = 0; i < N; ++i) all.v[i] = v[i];
    *reinterpret_cast<Neighbours*>(to) = all;
  } else {
    for (int i = 0; i < N; ++i) {
      if (i < room) to[i] = v[i];
    }
  }
}

struct SlideResult {
  const Slide<float>& p;
  int group, first_pixel, first_column;
  float* line = nullptr;

  __device__ __forceinline__ bool row(int r) {
    const int pixel = first_pixel + r;
    if (pixel >= p.pixels) return false;
    line = p.result + p.place(pixel, group);
    return true;
  }

  template <int N>
  __device__ __forceinline__ void put(int column, const float (&sum)[N]) const {
    const int at = first_column + column;
    if (at >= p.outputs) return;
    float v[N];
    for (int i = 0; i < N; ++i) {
      const bool add = p.bias && at + i < p.outputs;
      v[i] = at_least(p.least, add ? sum[i] + p.bias[group * p.outputs + at + i] : sum[i]);
    }
    cuda::put(line + at, v, p.outputs - at, p.outputs % 4 == 0);
  }
};

template <Math kMath, int kColumns>
__global__ void __launch_bounds__(kTileThreads, 3) slide_kernel(Slide<float> p) {
  int block = int(blockIdx.x);
  const int across = block % p.tiles_across * kColumns;
  block /= p.tiles_across;
  const int group = block / p.tiles_down, down = block % p.tiles_down * kTileRows;
  PixelsUnderTaps<kMath> a(p, group, down);
  LoadLines<kMath, kColumns> b(p.weight + group * p.weights + across, p.padded_outputs, p.terms,
                               p.padded_outputs - across);
  SlideResult to{p, group, down, across};
  multiply_tiles<kMath, kColumns>(a, b, 0, p.terms, to);
}

// A of Weigh: its rows are taps and channels, its terms pixels.
template <Math kMath>
struct TapsOverPixels : Lines<kMath, kTileRows> {
  using Base = Lines<kMath, kTileRows>;
  const Weigh<float>& p;
  const float* from;
  int down, across, end;
  bool valid;

  __device__ __forceinline__ TapsOverPixels(const Weigh<float>& weigh, int group, int first,
                                            int last)
      : p(weigh), end(last) {
    const int number = first + Base::column();
    valid = number < p.terms;
    const Taps::Term term = p.term(valid ? number : 0);
    down = term.row * p.rows.step + p.rows.base;
    across = term.column * p.columns.step + p.columns.base;
    from = p.x + group * p.channels + term.block + term.channel;
  }

  __device__ __forceinline__ void load(int k) {
    KINTSUGI_UNROLL
    for (int unit = 0; unit < Base::kUnits; ++unit) {
      KINTSUGI_UNROLL
      for (int e = 0; e < 2; ++e) {
        const int pixel = k + Base::term(unit) + e;
        const Taps::Pixel at = p.pixel(pixel);
        const int i = at.row * p.rows.scale + down, j = at.column * p.columns.scale + across;
        const bool seen =
            valid && pixel < end && inside(i, p.rows.extent) && inside(j, p.columns.extent);
        const int64_t cell = (int64_t(at.image) * p.rows.extent + i) * p.columns.extent + j;
        this->held[unit][e] = seen ? four(from + cell * p.cell()) : zeros();
      }
    }
  }
};

struct WeighResult {
  const Weigh<float>& p;
  float* matrix;
  int first_term, first_column;
  float* line = nullptr;

  __device__ __forceinline__ bool row(int r) {
    if (first_term + r >= p.terms) return false;
    line = matrix + int64_t(first_term + r) * p.outputs + first_column;
    return true;
  }
  template <int N>
  __device__ __forceinline__ void put(int column, const float (&sum)[N]) const {
    if (first_column + column < p.outputs) cuda::put(line + column, sum, N, true);
  }
};

template <Math kMath, int kColumns>
__global__ void __launch_bounds__(kTileThreads, 3) weigh_kernel(Weigh<float> p) {
  int block = int(blockIdx.x);
  const int across = block % p.tiles_across * kColumns;
  block /= p.tiles_across;
  const int down = block % p.tiles_down * kTileRows;
  block /= p.tiles_down;
  const int group = block % p.groups, part = block / p.groups;
  const int begin = part * p.pixels_a_part;
  const int end = p.pixels - begin < p.pixels_a_part ? p.pixels : begin + p.pixels_a_part;
  TapsOverPixels<kMath> a(p, group, down, end);
  LoadLines<kMath, kColumns> b(p.dy + group * p.outputs + across, p.groups * p.outputs, end,
                               p.outputs - across);
  WeighResult to{p, p.partial + int64_t(block) * p.terms * p.outputs, down, across};
  multiply_tiles<kMath, kColumns>(a, b, begin, end, to);
}

// fn(math, columns) as constants: columns are the width of the tile that wastes least.
template <class F>
void with_tile(int64_t outputs, const F& fn) {
  const auto with_math = [&](auto columns) {
    if (Context::current().math == Math::kF32)
      fn(std::integral_constant<Math, Math::kF32>(), columns);
    else
      fn(std::integral_constant<Math, Math::kTF32>(), columns);
  };
  if (outputs <= 16)
    with_math(std::integral_constant<int, 16>());
  else if (outputs <= 32)
    with_math(std::integral_constant<int, 32>());
  else
    with_math(std::integral_constant<int, 64>());
}

constexpr int64_t kFullDevice = 528;  // blocks that keep a device busy

}  // namespace

void slide(const char* op, Slide<float> p) {
  with_tile(p.outputs, [&](auto math, auto columns) {
    constexpr Math kMath = decltype(math)::value;
    constexpr int kColumns = decltype(columns)::value;
    p.tiles_down = tiles_of(p.pixels, kTileRows);
    p.tiles_across = tiles_of(p.outputs, kColumns);
    launch(op, slide_kernel<kMath, kColumns>,
           checked_blocks(op, int64_t(p.tiles_down) * p.tiles_across * p.groups), kTileThreads,
           kTileBytes<kMath, kColumns>, p);
  });
}

Tensor weigh(const char* op, Weigh<float> p) {
  Tensor partial;
  with_tile(p.outputs, [&](auto math, auto columns) {
    constexpr Math kMath = decltype(math)::value;
    constexpr int kColumns = decltype(columns)::value;
    p.tiles_down = tiles_of(p.terms, kTileRows);
    p.tiles_across = tiles_of(p.outputs, kColumns);
    const int64_t tiles = int64_t(p.tiles_down) * p.tiles_across * p.groups;
    partial = make_parts(p, tiles, kFullDevice, kTileDepth);
    launch(op, weigh_kernel<kMath, kColumns>, checked_blocks(op, tiles * p.parts), kTileThreads,
           kTileBytes<kMath, kColumns>, p);
  });
  return partial;
}

}  // namespace kintsugi::cuda
