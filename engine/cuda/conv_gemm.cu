#include "kintsugi/engine/cuda/conv_gemm.h"

#include <limits>
#include <numeric>

#include "kintsugi/engine/cuda/conv_stage.h"
#include "kintsugi/engine/cuda/divide.h"
#include "kintsugi/engine/cuda/grid.h"
#include "kintsugi/engine/cuda/tile.h"

namespace kintsugi::cuda {

namespace {

// One axis of a convolution read from the result's side: result u = 0 .. results-1 lies at cell
// start + u * stride, and its tap t = 0 .. taps-1 is tap first + t * every of the weight and sees
// source cell u * scale + base + t * step, of `extent`.
struct Axis {
  int results, start, stride;
  int taps, first, every;
  int scale, base, step, extent;
};

// results (pixels, columns) of each group = pixels under taps (pixels, taps * channels) * weights.
struct Slide {
  Axis rows, columns;
  int groups, channels, outputs;  // of a group; channels padded
  int kernel_columns;             // of the weight
  int height, width;              // of the result
  const float *source, *weight;   // weight (groups, taps, channels, padded outputs)
  const float* bias;              // or null
  float* result;
  Divisor by_channels, by_column_taps, by_columns, by_rows;
  int pixels, depth, tiles_down, tiles_across;
};

__device__ __forceinline__ float4 zeros() {
  return make_float4(0, 0, 0, 0);
}
__device__ __forceinline__ float4 four(const float* at) {
  return *reinterpret_cast<const float4*>(at);
}
__device__ __forceinline__ bool inside(int at, int extent) {
  return unsigned(at) < unsigned(extent);
}

// A of Slide: a thread has 4 terms (channels of a tap) of each of 4 pixels.
template <Math kMath>
struct PixelsUnderTaps {
  static constexpr int kRows = 4, kApart = kTileThreads / 4;
  using To = Operand<kMath, kTileRows>;

  const Slide& p;
  const float* image[kRows];
  int row[kRows], column[kRows];
  float4 held[kRows] = {};

  __device__ __forceinline__ PixelsUnderTaps(const Slide& slide, int group, int first) : p(slide) {
    KINTSUGI_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const int pixel = first + int(threadIdx.x) / 4 + r * kApart;
      uint32_t v = uint32_t(pixel < p.pixels ? pixel : 0);
      uint32_t u = p.by_columns.split(v);
      const uint32_t n = p.by_rows.split(u);
      image[r] = p.source + int64_t(n) * p.rows.extent * p.columns.extent * p.groups * p.channels +
                 group * p.channels;
      // A row that is never inside for those beyond the last pixel.
      row[r] = pixel < p.pixels ? int(u) * p.rows.scale + p.rows.base : -(1 << 30);
      column[r] = int(v) * p.columns.scale + p.columns.base;
    }
  }

  __device__ __forceinline__ void load(int k) {
    uint32_t c = uint32_t(k + int(threadIdx.x) % 4 * 4);
    const bool valid = int(c) < p.depth;
    uint32_t u = p.by_channels.split(c);
    const uint32_t t = p.by_column_taps.split(u);
    const int down = int(t) * p.rows.step, across = int(u) * p.columns.step;
    KINTSUGI_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const int i = row[r] + down, j = column[r] + across;
      held[r] = valid && inside(i, p.rows.extent) && inside(j, p.columns.extent)
                    ? four(image[r] + (i * p.columns.extent + j) * p.groups * p.channels + int(c))
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
// times. Line(term) is where the term's columns begin.
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

// B of Slide.
template <Math kMath, int kColumns>
struct WeightsOfTaps : Lines<kMath, kColumns> {
  using Base = Lines<kMath, kColumns>;
  const Slide& p;
  const float* from;
  int stride;
  bool valid;

  __device__ __forceinline__ WeightsOfTaps(const Slide& slide, int64_t weights, int group,
                                           int first)
      : p(slide), stride((p.outputs + 3) / 4 * 4) {
    valid = first + Base::column() < stride;
    from = p.weight + group * weights + first + Base::column();
  }

  __device__ __forceinline__ void load(int k) {
    KINTSUGI_UNROLL
    for (int unit = 0; unit < Base::kUnits; ++unit) {
      uint32_t c = uint32_t(k + Base::term(unit));
      this->held[unit][0] = this->held[unit][1] = zeros();
      if (!valid || !Base::has(unit) || int(c) >= p.depth) continue;
      uint32_t u = p.by_channels.split(c);
      const uint32_t t = p.by_column_taps.split(u);
      const int tap = (p.rows.first + int(t) * p.rows.every) * p.kernel_columns + p.columns.first +
                      int(u) * p.columns.every;
      const float* line = from + (int64_t(tap) * p.channels + int(c)) * stride;
      this->held[unit][0] = four(line);
      this->held[unit][1] = four(line + stride);
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
  const Slide& p;
  int group, first_pixel, first_column;
  float* line = nullptr;

  __device__ __forceinline__ bool row(int r) {
    const int pixel = first_pixel + r;
    if (pixel >= p.pixels) return false;
    uint32_t v = uint32_t(pixel), u = p.by_columns.split(v);
    const int64_t n = p.by_rows.split(u);
    const int i = p.rows.start + int(u) * p.rows.stride;
    const int j = p.columns.start + int(v) * p.columns.stride;
    line = p.result + ((n * p.height + i) * p.width + j) * p.groups * p.outputs + group * p.outputs;
    return true;
  }

  template <int N>
  __device__ __forceinline__ void put(int column, const float (&sum)[N]) const {
    const int at = first_column + column;
    if (at >= p.outputs) return;
    float v[N];
    for (int i = 0; i < N; ++i) {
      const bool add = p.bias && at + i < p.outputs;
      v[i] = add ? sum[i] + p.bias[group * p.outputs + at + i] : sum[i];
    }
    cuda::put(line + at, v, p.outputs - at, p.outputs % 4 == 0);
  }
};

template <Math kMath, int kColumns>
__global__ void __launch_bounds__(kTileThreads, 3) slide_kernel(Slide p, int64_t weights) {
  int block = int(blockIdx.x);
  const int across = block % p.tiles_across * kColumns;
  block /= p.tiles_across;
  const int group = block / p.tiles_down, down = block % p.tiles_down * kTileRows;
  PixelsUnderTaps<kMath> a(p, group, down);
  WeightsOfTaps<kMath, kColumns> b(p, weights, group, across);
  SlideResult to{p, group, down, across};
  multiply_tiles<kMath, kColumns>(a, b, 0, p.depth, to);
}

// partial (parts, groups, taps * channels, outputs) = pixels under taps, transposed, * dy, over a
// part of the pixels each. Channels and outputs are padded.
struct Weigh {
  Axis rows, columns;
  int groups, channels, outputs;
  const float *x, *dy;
  float* partial;
  Divisor by_channels, by_column_taps, by_columns, by_rows;
  int pixels, pixels_a_part, terms;  // terms = taps * channels
  int tiles_down, tiles_across;
};

// A of Weigh: its rows are taps and channels, its terms pixels.
template <Math kMath>
struct TapsOverPixels : Lines<kMath, kTileRows> {
  using Base = Lines<kMath, kTileRows>;
  const Weigh& p;
  const float* from;
  int down, across, end;
  bool valid;

  __device__ __forceinline__ TapsOverPixels(const Weigh& weigh, int group, int first, int last)
      : p(weigh), end(last) {
    uint32_t c = uint32_t(first + Base::column());
    valid = int(c) < p.terms;
    uint32_t u = p.by_channels.split(c);
    const uint32_t t = p.by_column_taps.split(u);
    down = int(t) * p.rows.step + p.rows.base;
    across = int(u) * p.columns.step + p.columns.base;
    from = p.x + group * p.channels + int(c);
  }

  __device__ __forceinline__ void load(int k) {
    KINTSUGI_UNROLL
    for (int unit = 0; unit < Base::kUnits; ++unit) {
      KINTSUGI_UNROLL
      for (int e = 0; e < 2; ++e) {
        const int pixel = k + Base::term(unit) + e;
        uint32_t v = uint32_t(pixel), u = p.by_columns.split(v);
        const int64_t n = p.by_rows.split(u);
        const int i = int(u) * p.rows.scale + down, j = int(v) * p.columns.scale + across;
        const bool seen =
            valid && pixel < end && inside(i, p.rows.extent) && inside(j, p.columns.extent);
        const int64_t cell = (n * p.rows.extent + i) * p.columns.extent + j;
        this->held[unit][e] = seen ? four(from + cell * p.groups * p.channels) : zeros();
      }
    }
  }
};

// B of Weigh.
template <Math kMath, int kColumns>
struct OutputsOverPixels : Lines<kMath, kColumns> {
  using Base = Lines<kMath, kColumns>;
  const float* from;
  int64_t stride;
  int end;
  bool valid;

  __device__ __forceinline__ OutputsOverPixels(const Weigh& p, int group, int first, int last)
      : from(p.dy + group * p.outputs + first + Base::column()),
        stride(int64_t(p.groups) * p.outputs),
        end(last),
        valid(first + Base::column() < p.outputs) {}

  __device__ __forceinline__ void load(int k) {
    KINTSUGI_UNROLL
    for (int unit = 0; unit < Base::kUnits; ++unit) {
      const int pixel = k + Base::term(unit);
      const bool mine = valid && Base::has(unit);
      this->held[unit][0] = mine && pixel < end ? four(from + pixel * stride) : zeros();
      this->held[unit][1] = mine && pixel + 1 < end ? four(from + (pixel + 1) * stride) : zeros();
    }
  }
};

struct WeighResult {
  const Weigh& p;
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
__global__ void __launch_bounds__(kTileThreads, 3) weigh_kernel(Weigh p) {
  int block = int(blockIdx.x);
  const int across = block % p.tiles_across * kColumns;
  block /= p.tiles_across;
  const int down = block % p.tiles_down * kTileRows;
  block /= p.tiles_down;
  const int group = block % p.groups, part = block / p.groups;
  const int begin = part * p.pixels_a_part;
  const int end = p.pixels - begin < p.pixels_a_part ? p.pixels : begin + p.pixels_a_part;
  TapsOverPixels<kMath> a(p, group, down, end);
  OutputsOverPixels<kMath, kColumns> b(p, group, across, end);
  WeighResult to{p, p.partial + int64_t(block) * p.terms * p.outputs, down, across};
  multiply_tiles<kMath, kColumns>(a, b, begin, end, to);
}

// dweight (O,C/groups,KH,KW) from Weigh's partial sums, in the order of the parts.
__global__ void weigh_sums(int64_t total, int64_t parts, int taps, int channels, int outputs,
                           int channels_padded, int outputs_padded, const float* partial,
                           float* dweight) {
  for (int64_t e = grid_first(); e < total; e += grid_step()) {
    const int64_t o = e % outputs_padded, c = e / outputs_padded % channels_padded;
    if (o >= outputs || c >= channels) continue;
    const int64_t tap = e / outputs_padded / channels_padded % taps;
    const int64_t group = e / outputs_padded / channels_padded / taps;
    double sum = 0;
    for (int64_t part = 0; part < parts; ++part) sum += double(partial[part * total + e]);
    dweight[((group * outputs + o) * channels + c) * taps + tap] = float(sum);
  }
}

// fn(math, columns) as constants: columns are the width of the tile that wastes least.
template <class F>
void with_tile(int64_t outputs, const F& fn) {
  const auto with_math = [&](auto columns) {
    switch (Context::current().math) {
      case Math::kTF32:
        return fn(std::integral_constant<Math, Math::kTF32>(), columns);
      case Math::kBF16:
        return fn(std::integral_constant<Math, Math::kBF16>(), columns);
      case Math::kF32:
        return fn(std::integral_constant<Math, Math::kF32>(), columns);
    }
  };
  if (outputs <= 16)
    with_math(std::integral_constant<int, 16>());
  else if (outputs <= 32)
    with_math(std::integral_constant<int, 32>());
  else
    with_math(std::integral_constant<int, 64>());
}

int tiles(int64_t n, int64_t size) {
  return int((n + size - 1) / size);
}

unsigned checked_blocks(const char* op, int64_t blocks) {
  if (blocks > std::numeric_limits<int>::max()) {
    fail(ErrorKind::kShape, op, ": got ", blocks, " tiles, expected fewer than 2^31");
  }
  return unsigned(blocks);
}

// Runs a Slide whose axes, channels, outputs and pointers are set, for n images.
void slide(const char* op, Slide p, int64_t n, int64_t kernel_rows) {
  p.pixels = int(n * p.rows.results * p.columns.results);
  if (p.pixels == 0) return;
  p.depth = p.rows.taps * p.columns.taps * p.channels;
  p.by_channels = Divisor(p.channels);
  p.by_column_taps = Divisor(std::max(1, p.columns.taps));
  p.by_columns = Divisor(p.columns.results);
  p.by_rows = Divisor(p.rows.results);
  const int64_t weights = kernel_rows * p.kernel_columns * p.channels * padded(p.outputs);
  with_tile(p.outputs, [&](auto math, auto columns) {
    constexpr Math kMath = decltype(math)::value;
    constexpr int kColumns = decltype(columns)::value;
    p.tiles_down = tiles(p.pixels, kTileRows);
    p.tiles_across = tiles(p.outputs, kColumns);
    launch(op, slide_kernel<kMath, kColumns>,
           checked_blocks(op, int64_t(p.tiles_down) * p.tiles_across * p.groups), kTileThreads,
           kTileBytes<kMath, kColumns>, p, weights);
  });
}

// Output i of the forward.
Axis forward_axis(const ops::Conv2dParams& params, int axis, const Tensor& x, const Shape& weight,
                  const Tensor& y) {
  const size_t a = size_t(axis);
  return {int(y.size(axis + 2)),
          0,
          1,
          int(weight[axis + 2]),
          0,
          1,
          int(params.stride[a]),
          -int(params.padding[2 * a]),
          int(params.dilation[a]),
          int(x.size(axis + 2))};
}

// The input cells `phase`, phase + stride, ... : outputs (cell + padding - tap * dilation) / stride
// see them, and only the taps for which that is whole.
Axis backward_axis(const ops::Conv2dParams& params, int axis, int64_t phase, const Tensor& dx,
                   const Shape& weight, const Tensor& dy) {
  const size_t a = size_t(axis);
  const int64_t stride = params.stride[a], dilation = params.dilation[a];
  const int64_t shift = phase + params.padding[2 * a], every = stride / std::gcd(stride, dilation);
  const int64_t kernel = weight[axis + 2], cells = dx.size(axis + 2);
  int64_t first = 0;
  while (first < std::min(every, kernel) && (shift - first * dilation) % stride != 0) ++first;
  const int64_t taps = first < std::min(every, kernel) ? (kernel - first + every - 1) / every : 0;
  return {int((cells - phase + stride - 1) / stride),
          int(phase),
          int(stride),
          int(taps),
          int(first),
          int(every),
          1,
          taps > 0 ? int((shift - first * dilation) / stride) : 0,
          -int(every * dilation / stride),
          int(dy.size(axis + 2))};
}

constexpr int64_t kFullDevice = 528;     // blocks that keep a device busy
constexpr int64_t kPixelsOfASum = 4096;  // f32 sums stay short

}  // namespace

bool conv_gemm_takes(const Tensor& x, const Tensor& y) {
  constexpr int64_t kMost = std::numeric_limits<int>::max() - kTileRows;
  for (const Tensor* t : {&x, &y}) {
    const int64_t cells = t->size(2) * t->size(3);
    if (cells > kMaxExtent || t->size(0) * cells > kMost) return false;
    if (cells * (t->size(1) * 4) > kMost) return false;  // groups of one channel are padded to 4
  }
  return true;
}

void conv_gemm(const Tensor& x, const Tensor& weight, const Tensor& bias,
               const ops::Conv2dParams& params, const Tensor& y) {
  constexpr const char* kOp = "conv2d";
  const Tensor source = staged(kOp, x, params.groups);
  const Tensor taps = staged_weight(kOp, weight, params.groups, false);
  const Tensor added = bias.defined() ? bias.contiguous() : bias;
  Slide p{};
  p.rows = forward_axis(params, 0, x, weight.shape(), y);
  p.columns = forward_axis(params, 1, x, weight.shape(), y);
  p.groups = int(params.groups);
  p.channels = int(padded(weight.size(1)));
  p.outputs = int(y.size(1) / params.groups);
  p.kernel_columns = int(weight.size(3));
  p.height = int(y.size(2));
  p.width = int(y.size(3));
  p.source = pointer<float>(source);
  p.weight = pointer<float>(taps);
  p.bias = pointer<float>(added);
  p.result = pointer<float>(y);
  slide(kOp, p, x.size(0), weight.size(2));
}

void conv_gemm_backward_input(const Tensor& dy, const Tensor& weight,
                              const ops::Conv2dParams& params, const Tensor& dx) {
  constexpr const char* kOp = "conv2d_backward_input";
  const Tensor source = staged(kOp, dy, params.groups);
  const Tensor taps = staged_weight(kOp, weight, params.groups, true);
  Slide p{};
  p.groups = int(params.groups);
  p.channels = int(padded(dy.size(1) / params.groups));
  p.outputs = int(weight.size(1));
  p.kernel_columns = int(weight.size(3));
  p.height = int(dx.size(2));
  p.width = int(dx.size(3));
  p.source = pointer<float>(source);
  p.weight = pointer<float>(taps);
  p.result = pointer<float>(dx);
  // Cells whose distance is a multiple of the stride are seen by the same taps: one product each.
  for (int64_t i = 0; i < std::min(params.stride[0], dx.size(2)); ++i) {
    for (int64_t j = 0; j < std::min(params.stride[1], dx.size(3)); ++j) {
      p.rows = backward_axis(params, 0, i, dx, weight.shape(), dy);
      p.columns = backward_axis(params, 1, j, dx, weight.shape(), dy);
      slide(kOp, p, dx.size(0), weight.size(2));
    }
  }
}

void conv_gemm_backward_weight(const Tensor& any_x, const Tensor& any_dy,
                               const ops::Conv2dParams& params, const Tensor& dweight) {
  constexpr const char* kOp = "conv2d_backward_weight";
  const Tensor x = staged(kOp, any_x, params.groups), dy = staged(kOp, any_dy, params.groups);
  const int64_t outputs = any_dy.size(1) / params.groups, channels = dweight.size(1);
  const int64_t taps = dweight.size(2) * dweight.size(3);
  Weigh p{};
  p.rows = forward_axis(params, 0, any_x, dweight.shape(), any_dy);
  p.columns = forward_axis(params, 1, any_x, dweight.shape(), any_dy);
  p.groups = int(params.groups);
  p.channels = int(padded(channels));
  p.outputs = int(padded(outputs));
  p.x = pointer<float>(x);
  p.dy = pointer<float>(dy);
  p.by_channels = Divisor(p.channels);
  p.by_column_taps = Divisor(p.columns.taps);
  p.by_columns = Divisor(p.columns.results);
  p.by_rows = Divisor(p.rows.results);
  p.pixels = int(any_x.size(0) * p.rows.results * p.columns.results);
  p.terms = int(taps * p.channels);
  with_tile(p.outputs, [&](auto math, auto columns) {
    constexpr Math kMath = decltype(math)::value;
    constexpr int kColumns = decltype(columns)::value;
    p.tiles_down = tiles(p.terms, kTileRows);
    p.tiles_across = tiles(p.outputs, kColumns);
    const int64_t blocks = int64_t(p.tiles_down) * p.tiles_across * p.groups;
    const int64_t least = (p.pixels + kPixelsOfASum - 1) / kPixelsOfASum;
    const int64_t wanted = std::min(kFullDevice / blocks, int64_t(p.pixels) / 256);
    const int64_t split = std::max<int64_t>({1, least, wanted});
    p.pixels_a_part = tiles(tiles(p.pixels, split), kTileDepth) * kTileDepth;
    const int64_t parts = tiles(p.pixels, p.pixels_a_part);
    const Tensor partial =
        Tensor::empty({parts, p.groups, p.terms, p.outputs}, DType::kF32, dweight.device());
    p.partial = pointer<float>(partial);
    launch(kOp, weigh_kernel<kMath, kColumns>, checked_blocks(kOp, blocks * parts), kTileThreads,
           kTileBytes<kMath, kColumns>, p);
    const int64_t total = partial.numel() / parts;
    launch(kOp, weigh_sums, blocks_for(total), kThreads, 0, total, parts, int(taps), int(channels),
           int(outputs), p.channels, p.outputs, p.partial, pointer<float>(dweight));
  });
}

}  // namespace kintsugi::cuda
