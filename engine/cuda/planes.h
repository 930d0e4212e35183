// Passes over grids as (images, pixels, channels): two sums of each channel over parts of the
// pixels, and a map of every element with numbers of its channel. Batch and group norm (norm.cu)
// say what is summed and mapped. Never installed.
#pragma once

#include "kintsugi/engine/cuda/columns.h"
#include "kintsugi/engine/cuda/rows.h"

namespace kintsugi::cuda {

// Blocks lie in rows, `tiles` of channels for each part of the pixels; grid.y counts images.
inline dim3 grid_of(int64_t tiles, int64_t parts, int64_t images) {
  return dim3(unsigned(tiles * parts), unsigned(std::min<int64_t>(images, 65535)));
}

struct Planes {
  int64_t images, pixels, channels, width;
  Columns columns;       // of the first pass: a thread has a group of neighbouring channels
  int64_t parts, chunk;  // of the first pass: parts of `chunk` pixels

  // Threads take `lanes` channels. Parts are long enough that their sums are little beside them.
  Planes(const Tensor& x, int64_t groups, int lanes)
      : images(x.rank() == 3 ? x.size(0) : 1),
        pixels(x.size(-2)),
        channels(x.size(-1)),
        width(channels / groups),
        columns(channels / lanes, 32) {
    parts = parts_for(pixels, columns.rows, images * columns.tiles,
                      std::max<int64_t>(8, 256 / columns.rows));
    chunk = (pixels + parts - 1) / parts;
    parts = (pixels + chunk - 1) / chunk;
  }
  int64_t groups() const { return images * channels / width; }
  __device__ __forceinline__ int64_t group_of(int64_t image, int64_t channel) const {
    return (image * channels + channel) / width;
  }
  // Of (images, channels, parts).
  Tensor partial(const Tensor& x) const {
    return Tensor::empty({images * channels * parts, 2}, DType::kF64, x.device());
  }
};

// A Source reads N neighbouring channels of a pixel and makes a pair to be summed of each, given
// what it wants to be shifted by. Sums of x - shift and its square (kShifted) are moved back at the
// end.
template <class Source, int N>
__global__ void __launch_bounds__(kThreads, 2)
    plane_sums(Planes p, Source source, double2* partial) {
  constexpr int kRun = Source::kRun;
  double2* shared = dynamic_shared<double2>();
  const int column = p.columns.column(), row = p.columns.row(), rows = p.columns.rows;
  const unsigned tiles = unsigned(p.columns.tiles), part = blockIdx.x / tiles;
  const int64_t c = (int64_t(blockIdx.x - part * tiles) * p.columns.width + column) * N;
  const bool mine = row < rows && c < p.channels;
  const int64_t begin = part * p.chunk + row, step = rows * p.channels;
  const int64_t end = (part + 1) * p.chunk < p.pixels ? (part + 1) * p.chunk : p.pixels;
  for (int64_t image = blockIdx.y; image < p.images; image += gridDim.y) {
    double2 sum[N] = {};
    if (mine && begin < end) {
      int64_t i = (image * p.pixels + begin) * p.channels + c;
      const int64_t first = i;
      const Floats<N> shift = source.template shift<N>(p, image, c, first);
      for (int64_t r = begin; r < end; r += kRun * rows, i += kRun * step) {
        typename Source::template Read<N> v[kRun] = {};
        KINTSUGI_UNROLL
        for (int k = 0; k < kRun; ++k) {
          v[k] = source.template read<N>(r + k * rows < end, i + k * step, first);
        }
        KINTSUGI_UNROLL
        for (int e = 0; e < N; ++e) {
          Floats<kRun> one, other;
          KINTSUGI_UNROLL
          for (int k = 0; k < kRun; ++k) {
            const float2 pair = Source::template pair<N>(v[k], e, shift.at[e]);
            one.at[k] = pair.x;
            other.at[k] = pair.y;
          }
          sum[e].x += double(sum_of(one));
          sum[e].y += double(sum_of(other));
        }
      }
      if constexpr (Source::kShifted) {
        const double count = double((end - begin + rows - 1) / rows);
        KINTSUGI_UNROLL
        for (int e = 0; e < N; ++e) {
          const double s = double(shift.at[e]);
          sum[e].y += s * (2 * sum[e].x + count * s);
          sum[e].x += count * s;
        }
      }
    }
    if (rows > 1) {
      __syncthreads();  // it may still be read for the last image
      const int threads = int(blockDim.x);
      KINTSUGI_UNROLL
      for (int e = 0; e < N; ++e) shared[e * threads + int(threadIdx.x)] = sum[e];
      merge_rows(row, rows, [&](int to, int from) {
        KINTSUGI_UNROLL
        for (int e = 0; e < N; ++e) {
          double2& a = shared[e * threads + to * p.columns.width + column];
          const double2& other = shared[e * threads + from * p.columns.width + column];
          a.x += other.x;
          a.y += other.y;
        }
      });
      KINTSUGI_UNROLL
      for (int e = 0; e < N; ++e) sum[e] = shared[e * threads + int(threadIdx.x)];
    }
    if (!mine || row != 0) continue;
    KINTSUGI_UNROLL
    for (int e = 0; e < N; ++e) {
      partial[(image * p.channels + c + e) * p.parts + part] = sum[e];
    }
  }
}

// What the third pass computes with, of each channel: forward scale * (x - center) + shift,
// backward scale * dy + slope * (x - center) + shift. In memory four arrays of `count`.
template <int N>
struct Line {
  Floats<N> center, scale, shift, slope;
};
struct Lines {
  float* at;
  int64_t count;

  template <int N>
  __device__ __forceinline__ Line<N> get(int64_t image, int64_t channel, int64_t channels) const {
    const float* from = at + image * channels + channel;
    return {read<N>(from), read<N>(from + count), read<N>(from + 2 * count),
            read<N>(from + 3 * count)};
  }
  __device__ __forceinline__ void put(int64_t i, float center, double scale, double shift,
                                      double slope) const {
    at[i] = center;
    at[count + i] = float(scale);
    at[2 * count + i] = float(shift);
    at[3 * count + i] = float(slope);
  }
};

constexpr int kSteps = 16;  // rows of a thread in the third pass

// Backwards through the pixels: those that the first pass has read last are in the cache.
template <class T, int N, class Source, class Numbers>
__global__ void map_planes(Planes p, Columns columns, Source source, Numbers numbers, T* y) {
  constexpr int kRun = 4;  // rows whose loads are on their way at once
  if (columns.row() >= columns.rows) return;
  const int rows = columns.rows, chunk = rows * kSteps;
  const unsigned tiles = unsigned(columns.tiles), block = gridDim.x - 1 - blockIdx.x;
  const unsigned part = block / tiles;
  const int64_t c = (int64_t(block - part * tiles) * columns.width + columns.column()) * N;
  if (c >= p.channels) return;
  const int64_t begin = int64_t(part) * chunk + columns.row(), step = rows * p.channels;
  const int64_t end =
      (int64_t(part) + 1) * chunk < p.pixels ? (int64_t(part) + 1) * chunk : p.pixels;
  for (int64_t image = blockIdx.y; image < p.images; image += gridDim.y) {
    const Line<N> line = numbers.template get<N>(image, c, p.channels);
    int64_t i = (image * p.pixels + begin) * p.channels + c;
    for (int64_t r = begin; r < end; r += kRun * rows, i += kRun * step) {
      typename Source::template Read<N> v[kRun] = {};
      KINTSUGI_UNROLL
      for (int k = 0; k < kRun; ++k) {
        if (r + k * rows < end) v[k] = source.template read<N>(i + k * step);
      }
      KINTSUGI_UNROLL
      for (int k = 0; k < kRun; ++k) {
        if (r + k * rows < end) write(y + i + k * step, Source::template result<N>(v[k], line));
      }
    }
  }
}

template <int N, class T, class Source, class Numbers>
void run_map(const char* op, const Planes& p, const Source& source, const Numbers& numbers, T* y) {
  const Columns columns(p.channels / N);
  const int64_t chunk = columns.rows * kSteps, parts = (p.pixels + chunk - 1) / chunk;
  launch(op, map_planes<T, N, Source, Numbers>, grid_of(columns.tiles, parts, p.images),
         columns.threads, 0, p, columns, source, numbers, y);
}

template <int N, class Source>
void run_sums(const char* op, const Planes& p, const Source& source, const Tensor& partial) {
  const size_t threads = size_t(p.columns.threads);
  launch(op, plane_sums<Source, N>, grid_of(p.columns.tiles, p.parts, p.images), p.columns.threads,
         p.columns.rows > 1 ? threads * N * sizeof(double2) : 0, p, source,
         reinterpret_cast<double2*>(pointer<double>(partial)));
}

}  // namespace kintsugi::cuda
