// Convolutions of bf16 operands on the tensor cores.
#include "kintsugi/engine/cuda/conv_problem.h"
#include "kintsugi/engine/cuda/pipeline.h"

namespace kintsugi::cuda {

namespace {

struct SlideSteps : Slide<BFloat16> {
  struct {
    int block, channel, row, column;
  } next;          // how far kDepth terms reach
  int steps;       // of a part of the terms
  float* partial;  // null where they are one part; else (parts, pixels, groups, padded outputs)
};

// A of Slide: a line a pixel; a thread has a chunk of 8 terms, channels of one tap, of kCopies
// pixels.
template <class Tile>
struct PixelsUnderTaps {
  using My = Share<Tile::kRows, Tile::kDepth / 8, Tile::kThreads>;

  const SlideSteps& p;
  const BFloat16* cell[My::kCopies];  // under tap (0,0)
  int row[My::kCopies], column[My::kCopies];
  int block, channel, down, across;  // of the chunk, as in Taps::Term
  int to = My::first();

  __device__ __forceinline__ PixelsUnderTaps(const SlideSteps& slide, int group, int first,
                                             int first_term)
      : p(slide) {
    const Taps::Term term = p.term(first_term + My::chunk() * 8);
    block = term.block;
    channel = term.channel;
    down = term.row;
    across = term.column;
    KINTSUGI_UNROLL
    for (int r = 0; r < My::kCopies; ++r) {
      const int number = first + My::line() + r * My::kApart;
      const Taps::Pixel at = p.pixel(number < p.pixels ? number : 0);
      row[r] = at.row * p.rows.scale + p.rows.base;
      column[r] = at.column * p.columns.scale + p.columns.base;
      cell[r] =
          p.source + group * p.channels +
          ((int64_t(at.image) * p.rows.extent + row[r]) * p.columns.extent + column[r]) * p.cell();
      if (number >= p.pixels) row[r] = -(1 << 30);  // never inside
    }
  }

  __device__ __forceinline__ void copy(SharedAt stage, bool more) {
    const int i = down * p.rows.step, j = across * p.columns.step;
    const int64_t under = (int64_t(i) * p.columns.extent + j) * p.cell() + block + channel;
    const bool real = more && block < p.channels;
    KINTSUGI_UNROLL
    for (int r = 0; r < My::kCopies; ++r) {
      const bool seen =
          real && inside(row[r] + i, p.rows.extent) && inside(column[r] + j, p.columns.extent);
      copy_async16<true>(stage + to + r * My::kStep, cell[r] + under, seen ? 16 : 0);
    }
    advance();
  }

  // kDepth terms on.
  __device__ __forceinline__ void advance() {
    channel += p.next.channel;
    across += p.next.column;
    down += p.next.row;
    block += p.next.block;
    if (channel >= p.block) {
      channel -= p.block;
      ++across;
    }
    if (across >= p.columns.taps) {
      across -= p.columns.taps;
      ++down;
    }
    if (down >= p.rows.taps) {
      down -= p.rows.taps;
      block += p.block;
    }
  }
};

struct WeighSteps : Weigh<BFloat16> {
  struct {
    int image, row, column;
  } next;  // how far kDepth pixels reach
};

// A of Weigh: a line a pixel, whose chunks are terms; a thread has one term's chunk of kCopies
// pixels.
template <class Tile>
struct TapsOverPixels {
  using My = Share<Tile::kDepth, Tile::kRows / 8, Tile::kThreads>;

  const WeighSteps& p;
  const BFloat16* cell[My::kCopies];
  int row[My::kCopies], column[My::kCopies];  // of the source
  int last_row, last_column;                  // of the results' rows and columns, and one further
  int at, end, to = My::first();

  __device__ __forceinline__ TapsOverPixels(const WeighSteps& weigh, int group, int first,
                                            int begin, int end_)
      : p(weigh), at(begin + My::line()), end(end_) {
    const int number = first + My::chunk() * 8;
    if (number >= p.terms) end = 0;
    const Taps::Term term = p.term(number < p.terms ? number : 0);
    const int down = term.row * p.rows.step + p.rows.base;
    const int across = term.column * p.columns.step + p.columns.base;
    last_row = p.rows.results * p.rows.scale + down;
    last_column = p.columns.results * p.columns.scale + across;
    KINTSUGI_UNROLL
    for (int r = 0; r < My::kCopies; ++r) {
      const Taps::Pixel pixel = p.pixel(at + r * My::kApart);
      row[r] = pixel.row * p.rows.scale + down;
      column[r] = pixel.column * p.columns.scale + across;
      cell[r] = p.x + group * p.channels + term.block + term.channel +
                ((int64_t(pixel.image) * p.rows.extent + row[r]) * p.columns.extent + column[r]) *
                    p.cell();
    }
  }

  __device__ __forceinline__ void copy(SharedAt stage, bool more) {
    const int across = p.next.column * p.columns.scale, down = p.next.row * p.rows.scale;
    const int64_t line = int64_t(p.columns.extent) * p.cell();
    const int wide = p.columns.results * p.columns.scale, high = p.rows.results * p.rows.scale;
    const int64_t on =
        across * int64_t(p.cell()) + down * line + p.next.image * p.rows.extent * line;
    const int64_t next_row = p.rows.scale * line - wide * int64_t(p.cell());
    const int64_t next_image = (p.rows.extent - high) * line;
    KINTSUGI_UNROLL
    for (int r = 0; r < My::kCopies; ++r) {
      const bool seen = more && at + r * My::kApart < end && inside(row[r], p.rows.extent) &&
                        inside(column[r], p.columns.extent);
      copy_async16<true>(stage + to + r * My::kStep, cell[r], seen ? 16 : 0);
      // kDepth pixels on.
      column[r] += across;
      row[r] += down;
      cell[r] += on;
      if (column[r] >= last_column) {
        column[r] -= wide;
        row[r] += p.rows.scale;
        cell[r] += next_row;
      }
      if (row[r] >= last_row) {
        row[r] -= high;
        cell[r] += next_image;
      }
    }
    at += Tile::kDepth;
  }
};

template <class Tile>
__global__ void __launch_bounds__(Tile::kThreads, Tile::kBlocks) slide_kernel(SlideSteps p) {
  int block = int(blockIdx.x);
  const int across = block % p.tiles_across * Tile::kColumns;
  block /= p.tiles_across;
  const int down = block % p.tiles_down * Tile::kRows;
  block /= p.tiles_down;
  const int group = block % p.groups, part = block / p.groups;
  const int first = part * p.steps * Tile::kDepth;
  const int all = (p.terms - first + Tile::kDepth - 1) / Tile::kDepth;
  unsigned char* shared = dynamic_shared<unsigned char>();
  typename Tile::Sums sum = {};
  {
    PixelsUnderTaps<Tile> a(p, group, down, first);
    LoadLines<Tile, Tile::kColumns> b(
        p.weight + group * p.weights + int64_t(first) * p.padded_outputs + across, p.padded_outputs,
        first, p.terms, p.padded_outputs - across);
    Tile::template multiply<false>(a, b, all < p.steps ? all : p.steps, shared_at(shared), sum);
  }
  if (p.partial) {
    float* to =
        p.partial + (int64_t(part) * p.pixels * p.groups + group) * p.padded_outputs + across;
    const int64_t stride = int64_t(p.groups) * p.padded_outputs;
    Tile::for_each(sum, [&](int row, int column, float left, float right) {
      if (down + row >= p.pixels || across + column >= p.padded_outputs) return;
      store(to + (down + row) * stride + column, Floats<2>{{left, right}});
    });
    return;
  }
  // Through shared memory, so that threads write rows of neighbours.
  using Results = Panel<Tile::kRows, Tile::kColumns / 8>;
  using My = Share<Tile::kRows, Tile::kColumns / 8, Tile::kThreads>;
  if (p.bias) {
    Tile::add_to_columns(sum, [&](int column) {
      return across + column < p.outputs ? p.bias[group * p.outputs + across + column] : 0.0f;
    });
  }
  __syncthreads();
  Tile::for_each(sum, [&](int row, int column, float left, float right) {
    *reinterpret_cast<uint32_t*>(shared + Results::at(row, column / 8) + column % 8 * 2) =
        pack_bf16(at_least(p.least, left), at_least(p.least, right));
  });
  __syncthreads();
  const int column = across + My::chunk() * 8, room = p.outputs - column;
  if (room <= 0) return;
  const bool whole = p.outputs % 8 == 0;
  for (int r = 0; r < My::kCopies; ++r) {
    const int pixel = down + My::line() + r * My::kApart;
    if (pixel >= p.pixels) return;
    BFloat16* to = p.result + p.place(pixel, group) + column;
    const auto* from = reinterpret_cast<const BFloat16*>(shared + My::first() + r * My::kStep);
    if (whole) {
      store(to, load<8>(from));
    } else {
      for (int e = 0; e < 8; ++e) {
        if (e < room) to[e] = from[e];
      }
    }
  }
}

// The parts' sums in their order, the bias, and the least.
constexpr int kSumWidth = 4;

__global__ void slide_sums(SlideSteps p, int64_t total, int parts) {
  const int each = p.padded_outputs / kSumWidth;
  const bool whole = p.outputs % kSumWidth == 0;
  for (int64_t e = grid_first(); e < total; e += grid_step()) {  // tiles are few: below 2^31
    const int line = int(uint32_t(e) / uint32_t(each));
    const int column = (int(e) - line * each) * kSumWidth;
    const int pixel = line / p.groups, group = line - pixel * p.groups;
    if (column >= p.outputs) continue;
    Floats<kSumWidth> sum{};
    for (int part = 0; part < parts; ++part) {
      const auto v = load<kSumWidth>(p.partial + (part * total + e) * kSumWidth);
      for (int k = 0; k < kSumWidth; ++k) sum.at[k] += v.at[k];
    }
    if (p.bias) {
      for (int k = 0; k < kSumWidth; ++k) {
        if (column + k < p.outputs) sum.at[k] += p.bias[group * p.outputs + column + k];
      }
    }
    for (float& v : sum.at) v = at_least(p.least, v);
    BFloat16* to = p.result + p.place(pixel, group) + column;
    if (whole) {
      write(to, sum);
    } else {
      for (int k = 0; k < kSumWidth; ++k) {
        if (column + k < p.outputs) to[k] = narrow<BFloat16>(sum.at[k]);
      }
    }
  }
}

template <class Tile>
__global__ void __launch_bounds__(Tile::kThreads, Tile::kBlocks) weigh_kernel(WeighSteps p) {
  int block = int(blockIdx.x);
  const int across = block % p.tiles_across * Tile::kColumns;
  block /= p.tiles_across;
  const int down = block % p.tiles_down * Tile::kRows;
  block /= p.tiles_down;
  const int group = block % p.groups, part = block / p.groups;
  const int begin = part * p.pixels_a_part;
  const int end = p.pixels - begin < p.pixels_a_part ? p.pixels : begin + p.pixels_a_part;
  const int64_t stride = int64_t(p.groups) * p.outputs;
  typename Tile::Sums sum = {};
  {
    TapsOverPixels<Tile> a(p, group, down, begin, end);
    LoadLines<Tile, Tile::kColumns> b(p.dy + begin * stride + group * p.outputs + across, stride,
                                      begin, end, p.outputs - across);
    Tile::template multiply<true>(a, b, (end - begin + Tile::kDepth - 1) / Tile::kDepth,
                                  shared_at(dynamic_shared<unsigned char>()), sum);
  }
  float* to = p.partial + int64_t(block) * p.terms * p.outputs + across;
  Tile::for_each(sum, [&](int row, int column, float left, float right) {
    if (down + row >= p.terms || across + column >= p.outputs) return;
    store(to + int64_t(down + row) * p.outputs + column, Floats<2>{{left, right}});
  });
}

// Tiles by how many columns they have; their warps have 64 by 64 results, or fewer.
using Large = Tile<128, 128, 2, 2>;
using Medium = Tile<128, 64, 2, 3>;
using Small = Tile<64, 64, 2, 4>;
using Narrow = Tile<128, 32, 4, 4>;
using Narrowest = Tile<128, 16, 4, 4>;

// f(Tile()) with the widest tile that wastes no more columns than a narrower one; Small where there
// would be fewer than `few` blocks.
template <class F>
void with_tile(int64_t rows, int64_t columns, int64_t groups, int64_t few, const F& f) {
  if (columns <= 16) return f(Narrowest());
  if (columns <= 32) return f(Narrow());
  const bool wide = columns > 64 && (columns - 1) % 128 >= 64;
  const int64_t blocks = groups * tiles_of(rows, 128) * tiles_of(columns, wide ? 128 : 64);
  if (rows <= 64 || blocks < few) return f(Small());
  if (wide) return f(Large());
  f(Medium());
}

constexpr int kLeastSteps = 8;  // of a part of the terms

}  // namespace

void slide(const char* op, Slide<BFloat16> problem) {
  SlideSteps p{problem, {}, 0, nullptr};
  const int64_t processors = multiprocessors(current_device()), few = processors * 3 / 4;
  with_tile(p.pixels, p.outputs, p.groups, few, [&](auto tile) {
    using Tile = decltype(tile);
    const int taps = std::max(1, p.columns.taps), blocks = Tile::kDepth / p.block;
    p.next = {blocks / taps / std::max(1, p.rows.taps) * p.block, Tile::kDepth % p.block,
              blocks / taps % std::max(1, p.rows.taps), blocks % taps};
    p.tiles_down = tiles_of(p.pixels, Tile::kRows);
    p.tiles_across = tiles_of(p.outputs, Tile::kColumns);
    const int64_t tiles = int64_t(p.tiles_down) * p.tiles_across * p.groups;
    const int64_t steps = std::max(1, tiles_of(p.terms, Tile::kDepth));
    // Too few tiles for the device share their terms out.
    const int64_t wanted = tiles < few ? std::min(2 * processors / tiles, steps / kLeastSteps) : 1;
    p.steps = tiles_of(steps, std::max<int64_t>(1, wanted));
    const int parts = tiles_of(steps, p.steps);
    Tensor partial;
    if (parts > 1) {
      partial = Tensor::empty({parts, p.pixels, p.groups, p.padded_outputs}, DType::kF32,
                              {DeviceType::kCuda, current_device()});
      p.partial = pointer<float>(partial);
    }
    launch(op, slide_kernel<Tile>, checked_blocks(op, tiles * parts), Tile::kThreads, Tile::kBytes,
           p);
    if (parts == 1) return;
    const int64_t total = partial.numel() / parts / kSumWidth;
    launch(op, slide_sums, blocks_for(total), kThreads, 0, p, total, parts);
  });
}

Tensor weigh(const char* op, Weigh<BFloat16> problem) {
  WeighSteps p{problem, {}};
  const int64_t busy = int64_t{4} * multiprocessors(current_device());
  Tensor partial;
  with_tile(p.terms, p.outputs, p.groups, 0, [&](auto tile) {
    using Tile = decltype(tile);
    p.next = {Tile::kDepth / p.columns.results / p.rows.results,
              Tile::kDepth / p.columns.results % p.rows.results, Tile::kDepth % p.columns.results};
    p.tiles_down = tiles_of(p.terms, Tile::kRows);
    p.tiles_across = tiles_of(p.outputs, Tile::kColumns);
    const int64_t tiles = int64_t(p.tiles_down) * p.tiles_across * p.groups;
    partial = make_parts(p, tiles, busy, Tile::kDepth);
    launch(op, weigh_kernel<Tile>, checked_blocks(op, tiles * p.parts), Tile::kThreads,
           Tile::kBytes, p);
  });
  return partial;
}

}  // namespace kintsugi::cuda
