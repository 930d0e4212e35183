// What the kernels of engine/cuda/conv_f32.cu and engine/cuda/conv_bf16.cu multiply: convolutions
// as products of matrices that no one writes out. Never installed.
#pragma once

#include "kintsugi/engine/cuda/divide.h"
#include "kintsugi/engine/cuda/vector.h"

namespace kintsugi::cuda {

// One axis of a convolution read from the result's side: result u = 0 .. results-1 lies at cell
// start + u * stride, and its tap t = 0 .. taps-1 sees source cell u * scale + base + t * step, of
// `extent`.
struct Axis {
  int results, start, stride;
  int taps;
  int scale, base, step, extent;
};

__device__ __forceinline__ bool inside(int at, int extent) {
  return unsigned(at) < unsigned(extent);
}

// What both products have. Their terms (of Weigh: rows) run over the channels of a group in blocks
// of `block`, in each over the taps, and in each over the channels of the block.
struct Taps {
  Axis rows, columns;
  int images, groups, channels, outputs;  // channels and outputs of a group
  int block;
  Divisor by_block, by_column_taps, by_row_taps, by_columns, by_rows;
  int pixels, terms;

  // Sets the last two lines from the others.
  void prepare() {
    by_block = Divisor(block);
    by_column_taps = Divisor(std::max(1, columns.taps));
    by_row_taps = Divisor(std::max(1, rows.taps));
    by_columns = Divisor(columns.results);
    by_rows = Divisor(rows.results);
    pixels = int(int64_t(images) * rows.results * columns.results);
    terms = rows.taps * columns.taps * channels;
  }

  struct Term {
    int block, channel, row, column;  // the block's first channel, one of it, and the tap
  };
  __device__ __forceinline__ Term term(int k) const {
    uint32_t c = uint32_t(k), u = by_block.split(c), t = by_column_taps.split(u);
    const uint32_t b = by_row_taps.split(t);
    return {int(b) * block, int(c), int(t), int(u)};
  }
  struct Pixel {
    int image, row, column;  // of the results
  };
  __device__ __forceinline__ Pixel pixel(int k) const {
    uint32_t v = uint32_t(k), u = by_columns.split(v);
    const uint32_t n = by_rows.split(u);
    return {int(n), int(u), int(v)};
  }
  // From one source cell of a group to the next.
  __device__ __forceinline__ int cell() const { return groups * channels; }
};

// results (pixels, outputs) of each group = pixels under taps (pixels, terms) * weights + bias.
template <class T>
struct Slide : Taps {
  int height, width;  // of the result
  const T* source;    // channels padded
  const T* weight;    // (terms, padded outputs) of the first group
  int64_t weights;    // from a group's to the next one's
  const float* bias;  // or null
  float least;        // the result is at least so much
  T* result;
  int padded_outputs;
  int tiles_down, tiles_across;

  // Of a result's first output.
  __device__ __forceinline__ int64_t place(int pixel_number, int group) const {
    const Pixel at = pixel(pixel_number);
    const int64_t i = rows.start + at.row * rows.stride,
                  j = columns.start + at.column * columns.stride;
    return (((at.image * int64_t(height) + i) * width + j) * groups + group) * outputs;
  }
};

// partial (parts, groups, terms, outputs) = pixels under taps, transposed, * dy, over a part of the
// pixels each. Channels and outputs are padded.
template <class T>
struct Weigh : Taps {
  const T *x, *dy;
  float* partial;
  int pixels_a_part, parts;
  int tiles_down, tiles_across;
};

// Each launches its kernels; op is for errors. Of f32 operands Context::math says how they are
// multiplied.
void slide(const char* op, Slide<float> p);
void slide(const char* op, Slide<BFloat16> p);
// The partial sums, (parts, groups, terms, outputs).
Tensor weigh(const char* op, Weigh<float> p);
Tensor weigh(const char* op, Weigh<BFloat16> p);

// --- what both are launched with ---

inline int tiles_of(int64_t n, int64_t size) {
  return int((n + size - 1) / size);
}
unsigned checked_blocks(const char* op, int64_t blocks);

// Splits the pixels of a Weigh of so many tiles for a device that `busy` blocks fill, and makes
// room for the sums.
template <class T>
Tensor make_parts(Weigh<T>& p, int64_t tiles, int64_t busy, int depth) {
  constexpr int64_t kLongest = 4096, kLeast = 256;  // pixels: f32 sums stay short, blocks worth it
  const int64_t wanted = std::min(busy / tiles, p.pixels / kLeast);
  const int64_t split = std::max<int64_t>({1, tiles_of(p.pixels, kLongest), wanted});
  p.pixels_a_part = tiles_of(tiles_of(p.pixels, split), depth) * depth;
  p.parts = tiles_of(p.pixels, p.pixels_a_part);
  const Shape shape{p.parts, p.groups, p.terms, p.outputs};
  const Tensor partial = Tensor::empty(shape, DType::kF32, {DeviceType::kCuda, current_device()});
  p.partial = pointer<float>(partial);
  return partial;
}

}  // namespace kintsugi::cuda
