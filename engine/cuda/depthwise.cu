#include "kintsugi/engine/cuda/depthwise.h"

#include <utility>

#include "kintsugi/engine/cuda/grid.h"

namespace kintsugi::cuda {

namespace {

constexpr int kStrip = 4;  // results of a thread along a row, that share what they read

// y (images,oh,ow,filters) from x (images,h,w,channels); `times` filters a channel.
struct Depthwise {
  int64_t images;
  int h, w, channels, oh, ow, filters, times;
  int kernel_h, kernel_w, stride_h, stride_w, top, left, dilation_h, dilation_w;

  int taps() const { return kernel_h * kernel_w; }
};

__device__ __forceinline__ bool inside(int at, int extent) {
  return unsigned(at) < unsigned(extent);
}

template <int kWidth>
__device__ __forceinline__ void load_or_zero(const float* from, bool seen, float (&to)[kWidth]) {
  if (seen)
    load(from, to);
  else {
    for (int k = 0; k < kWidth; ++k) to[k] = 0;
  }
}

// Square kernels of one filter a channel, without dilation; weight (taps, filters).
template <int kKernel, int kStride, int kWidth>
__global__ void square_kernel(Depthwise s, const float* x, const float* weight, const float* bias,
                              float* y) {
  constexpr int kRead = (kStrip - 1) * kStride + kKernel;
  const int lanes = s.channels / kWidth, items = (s.ow + kStrip - 1) / kStrip * lanes;
  for (int64_t line = blockIdx.x; line < s.images * s.oh; line += gridDim.x) {
    const int64_t n = line / s.oh;
    const int i = int(line - n * s.oh);
    for (int e = int(threadIdx.x); e < items; e += int(blockDim.x)) {
      const int strip = e / lanes, j = strip * kStrip, c = (e - strip * lanes) * kWidth;
      float sum[kStrip][kWidth] = {};
      if (bias) {
        load(bias + c, sum[0]);
        KINTSUGI_UNROLL
        for (int u = 1; u < kStrip; ++u) {
          KINTSUGI_UNROLL
          for (int k = 0; k < kWidth; ++k) sum[u][k] = sum[0][k];
        }
      }
      const int left = j * kStride - s.left;
      for (int p = 0; p < kKernel; ++p) {
        const int row = i * kStride + p - s.top;
        if (!inside(row, s.h)) continue;
        float by[kKernel][kWidth];
        KINTSUGI_UNROLL
        for (int q = 0; q < kKernel; ++q) {
          load(weight + int64_t(p * kKernel + q) * s.channels + c, by[q]);
        }
        const float* from = x + ((n * s.h + row) * s.w + left) * s.channels + c;
        KINTSUGI_UNROLL
        for (int t = 0; t < kRead; ++t) {
          float value[kWidth];
          load_or_zero(from + int64_t(t) * s.channels, inside(left + t, s.w), value);
          KINTSUGI_UNROLL
          for (int u = 0; u < kStrip; ++u) {
            const int q = t - u * kStride;
            if (q < 0 || q >= kKernel) continue;
            KINTSUGI_UNROLL
            for (int k = 0; k < kWidth; ++k) sum[u][k] += by[q][k] * value[k];
          }
        }
      }
      KINTSUGI_UNROLL
      for (int u = 0; u < kStrip; ++u) {
        if (j + u < s.ow) store(y + (line * s.ow + j + u) * s.channels + c, sum[u]);
      }
    }
  }
}

// Any kernel; kWidth is 1 where there are several filters a channel.
template <int kWidth>
__global__ void general_kernel(Depthwise s, const float* x, const float* weight, const float* bias,
                               float* y) {
  const int lanes = s.filters / kWidth, items = s.ow * lanes;
  for (int64_t line = blockIdx.x; line < s.images * s.oh; line += gridDim.x) {
    const int64_t n = line / s.oh;
    const int i = int(line - n * s.oh);
    for (int e = int(threadIdx.x); e < items; e += int(blockDim.x)) {
      const int j = e / lanes, o = (e - j * lanes) * kWidth, c = kWidth == 1 ? o / s.times : o;
      float sum[kWidth] = {};
      if (bias) load(bias + o, sum);
      for (int p = 0; p < s.kernel_h; ++p) {
        const int row = i * s.stride_h + p * s.dilation_h - s.top;
        if (!inside(row, s.h)) continue;
        for (int q = 0; q < s.kernel_w; ++q) {
          const int column = j * s.stride_w + q * s.dilation_w - s.left;
          if (!inside(column, s.w)) continue;
          float value[kWidth], by[kWidth];
          load(x + ((n * s.h + row) * s.w + column) * s.channels + c, value);
          load(weight + int64_t(p * s.kernel_w + q) * s.filters + o, by);
          for (int k = 0; k < kWidth; ++k) sum[k] += by[k] * value[k];
        }
      }
      store(y + (line * s.ow + j) * s.filters + o, sum);
    }
  }
}

// dx from dy, in gather form: output (position + before - tap * dilation) / stride, where that is
// whole, sees the position through the tap.
template <int kWidth>
__global__ void backward_input_kernel(Depthwise s, const float* dy, const float* weight,
                                      float* dx) {
  const int lanes = s.channels / kWidth, items = s.w * lanes;
  // Without dilation, taps that see the position are stride apart.
  const int step_h = s.dilation_h == 1 ? s.stride_h : 1;
  const int step_w = s.dilation_w == 1 ? s.stride_w : 1;
  for (int64_t line = blockIdx.x; line < s.images * s.h; line += gridDim.x) {
    const int64_t n = line / s.h;
    const int down = int(line - n * s.h) + s.top;
    for (int e = int(threadIdx.x); e < items; e += int(blockDim.x)) {
      const int v = e / lanes, c = (e - v * lanes) * kWidth, across = v + s.left;
      float sum[kWidth] = {};
      for (int p = step_h == 1 ? 0 : down % step_h; p < s.kernel_h; p += step_h) {
        const int scaled_i = down - p * s.dilation_h, i = scaled_i / s.stride_h;
        if (scaled_i < 0 || i * s.stride_h != scaled_i || i >= s.oh) continue;
        for (int q = step_w == 1 ? 0 : across % step_w; q < s.kernel_w; q += step_w) {
          const int scaled_j = across - q * s.dilation_w, j = scaled_j / s.stride_w;
          if (scaled_j < 0 || j * s.stride_w != scaled_j || j >= s.ow) continue;
          const float* from = dy + ((n * s.oh + i) * s.ow + j) * s.filters;
          const float* by_tap = weight + int64_t(p * s.kernel_w + q) * s.filters;
          for (int o = c * s.times; o < (c + kWidth) * s.times; o += kWidth) {
            float value[kWidth], by[kWidth];
            load(from + o, value);
            load(by_tap + o, by);
            for (int k = 0; k < kWidth; ++k) sum[k] += by[k] * value[k];
          }
        }
      }
      store(dx + (line * s.w + v) * s.channels + c, sum);
    }
  }
}

// partial (parts, taps, filters): each part is some rows of y. A thread has kWidth filters and one
// row of the kernel, and every kLines-th of its block's rows.
template <int kKernel, int kWidth>
struct WeightBlock {
  static constexpr int kLanes = kWidth == 4 ? 16 : 32;
  static constexpr int kLines = kThreads / (kLanes * kKernel);
  static constexpr int kSize = kLanes * kKernel * kLines;  // threads
  static constexpr size_t kShared = sizeof(float) * kSize * kKernel * kWidth;
};

template <int kKernel, int kStride, int kWidth>
__global__ void square_backward_weight(Depthwise s, int chunks, int parts, const float* x,
                                       const float* dy, float* partial) {
  using Block = WeightBlock<kKernel, kWidth>;
  constexpr int kRead = (kStrip - 1) * kStride + kKernel;
  float* shared = dynamic_shared<float>();  // (kLines, kKernel, kKernel, kLanes * kWidth)
  const int lane = int(threadIdx.x) % Block::kLanes;
  const int p = int(threadIdx.x) / Block::kLanes % kKernel;
  const int first = int(threadIdx.x) / Block::kLanes / kKernel;
  const int chunk = int(blockIdx.x) % chunks, part = int(blockIdx.x) / chunks;
  const int c = (chunk * Block::kLanes + lane) * kWidth;
  float sum[kKernel][kWidth] = {};
  const int64_t lines = s.images * s.oh;
  for (int64_t line = int64_t(part) * Block::kLines + first; line < lines && c < s.channels;
       line += int64_t(parts) * Block::kLines) {
    const int64_t n = line / s.oh;
    const int row = int(line - n * s.oh) * kStride + p - s.top;
    if (!inside(row, s.h)) continue;
    float of_line[kKernel][kWidth] = {};
    for (int j = 0; j < s.ow; j += kStrip) {
      float diff[kStrip][kWidth];
      KINTSUGI_UNROLL
      for (int u = 0; u < kStrip; ++u) {
        load_or_zero(dy + (line * s.ow + j + u) * s.channels + c, j + u < s.ow, diff[u]);
      }
      const int left = j * kStride - s.left;
      const float* from = x + ((n * s.h + row) * s.w + left) * s.channels + c;
      KINTSUGI_UNROLL
      for (int t = 0; t < kRead; ++t) {
        float value[kWidth];
        load_or_zero(from + int64_t(t) * s.channels, inside(left + t, s.w), value);
        KINTSUGI_UNROLL
        for (int u = 0; u < kStrip; ++u) {
          const int q = t - u * kStride;
          if (q < 0 || q >= kKernel) continue;
          KINTSUGI_UNROLL
          for (int k = 0; k < kWidth; ++k) of_line[q][k] += diff[u][k] * value[k];
        }
      }
    }
    KINTSUGI_UNROLL
    for (int q = 0; q < kKernel; ++q) {
      KINTSUGI_UNROLL
      for (int k = 0; k < kWidth; ++k) sum[q][k] += of_line[q][k];
    }
  }
  KINTSUGI_UNROLL
  for (int q = 0; q < kKernel; ++q) {
    store(shared + (((first * kKernel + p) * kKernel + q) * Block::kLanes + lane) * kWidth, sum[q]);
  }
  __syncthreads();
  if (first != 0 || c >= s.channels) return;
  for (int q = 0; q < kKernel; ++q) {
    float total[kWidth] = {};
    for (int l = 0; l < Block::kLines; ++l) {
      float value[kWidth];
      load(shared + (((l * kKernel + p) * kKernel + q) * Block::kLanes + lane) * kWidth, value);
      for (int k = 0; k < kWidth; ++k) total[k] += value[k];
    }
    store(partial + (int64_t(part) * kKernel * kKernel + p * kKernel + q) * s.channels + c, total);
  }
}

// The same for any kernel: a thread has one filter and one tap.
constexpr int kGeneralLanes = 32, kGeneralTaps = 8;

__global__ void general_backward_weight(Depthwise s, int chunks, int tap_blocks, int parts,
                                        const float* x, const float* dy, float* partial) {
  int block = int(blockIdx.x);
  const int o = block % chunks * kGeneralLanes + int(threadIdx.x);
  block /= chunks;
  const int tap = block % tap_blocks * kGeneralTaps + int(threadIdx.y);
  const int part = block / tap_blocks, taps = s.kernel_h * s.kernel_w;
  if (o >= s.filters || tap >= taps) return;
  const int p = tap / s.kernel_w, q = tap - p * s.kernel_w, c = o / s.times;
  float sum = 0;
  for (int64_t line = part; line < s.images * s.oh; line += parts) {
    const int64_t n = line / s.oh;
    const int row = int(line - n * s.oh) * s.stride_h + p * s.dilation_h - s.top;
    if (!inside(row, s.h)) continue;
    float of_line = 0;
    for (int j = 0; j < s.ow; ++j) {
      const int column = j * s.stride_w + q * s.dilation_w - s.left;
      if (!inside(column, s.w)) continue;
      of_line += dy[(line * s.ow + j) * s.filters + o] *
                 x[((n * s.h + row) * s.w + column) * s.channels + c];
    }
    sum += of_line;
  }
  partial[(int64_t(part) * taps + tap) * s.filters + o] = sum;
}

// dweight (filters, taps) from the parts, in their order.
__global__ void weight_sums(int64_t total, int64_t parts, int filters, const float* partial,
                            float* dweight) {
  const int64_t taps = total / filters;
  for (int64_t e = grid_first(); e < total; e += grid_step()) {
    double sum = 0;
    for (int64_t part = 0; part < parts; ++part) sum += double(partial[part * total + e]);
    dweight[e % filters * taps + e / filters] = float(sum);
  }
}

// (taps, filters) from (filters, taps); `flipped`: the taps from the last to the first.
__global__ void arrange_weight(int64_t total, int filters, bool flipped, const float* weight,
                               float* to) {
  const int64_t taps = total / filters;
  for (int64_t e = grid_first(); e < total; e += grid_step()) {
    const int64_t tap = flipped ? taps - 1 - e / filters : e / filters;
    to[e] = weight[e % filters * taps + tap];
  }
}

Tensor arranged(const char* op, const Tensor& any_weight, bool flipped) {
  const Tensor weight = any_weight.contiguous();
  const Tensor out = Tensor::empty({weight.numel()}, DType::kF32, weight.device());
  launch(op, arrange_weight, blocks_for(weight.numel()), kThreads, 0, weight.numel(),
         int(weight.size(0)), flipped, pointer<float>(weight), pointer<float>(out));
  return out;
}

Depthwise shape_of(const Tensor& x, const Shape& weight, const ops::Conv2dParams& p,
                   const Tensor& y) {
  return {x.size(0),         int(x.size(2)),    int(x.size(3)),     int(x.size(1)),
          int(y.size(2)),    int(y.size(3)),    int(y.size(1)),     int(y.size(1) / x.size(1)),
          int(weight[2]),    int(weight[3]),    int(p.stride[0]),   int(p.stride[1]),
          int(p.padding[0]), int(p.padding[2]), int(p.dilation[0]), int(p.dilation[1])};
}

bool is_square(const Depthwise& s, int kernel, int stride) {
  return s.times == 1 && s.kernel_h == kernel && s.kernel_w == kernel && s.stride_h == stride &&
         s.stride_w == stride && s.dilation_h == 1 && s.dilation_w == 1;
}

// fn(kernel, stride) as constants where the shape has kernels of its own; else false.
template <class F>
bool with_square(const Depthwise& s, const F& fn) {
  const auto with_kernel = [&](auto kernel) {
    if (is_square(s, kernel, 1)) return fn(kernel, std::integral_constant<int, 1>()), true;
    if (is_square(s, kernel, 2)) return fn(kernel, std::integral_constant<int, 2>()), true;
    return false;
  };
  return with_kernel(std::integral_constant<int, 3>()) ||
         with_kernel(std::integral_constant<int, 5>()) ||
         with_kernel(std::integral_constant<int, 7>());
}

void forward(const char* op, const Depthwise& s, const Tensor& x, const Tensor& weight,
             const Tensor& bias, const Tensor& y) {
  const bool four = s.times == 1 && in_fours(s.channels, x.address(), y.address(), weight.address(),
                                             pointer<float>(bias));
  const unsigned blocks = blocks_for(s.images * s.oh, 1);
  const int64_t lanes = four ? s.filters / 4 : s.filters;
  const auto run = [&](auto kernel, int64_t items) {
    launch(op, kernel, blocks, threads_for_row(items), 0, s, pointer<float>(x),
           pointer<float>(weight), pointer<float>(bias), pointer<float>(y));
  };
  const auto square = [&](auto kernel, auto stride) {
    constexpr int kKernel = decltype(kernel)::value, kStride = decltype(stride)::value;
    run(four ? square_kernel<kKernel, kStride, 4> : square_kernel<kKernel, kStride, 1>,
        (s.ow + kStrip - 1) / kStrip * lanes);
  };
  if (with_square(s, square)) return;
  run(four ? general_kernel<4> : general_kernel<1>, s.ow * lanes);
}

constexpr int64_t kFullDevice = 1056;  // blocks that keep a device busy

int64_t parts_for(int64_t lines, int64_t blocks) {
  return std::max<int64_t>(1, std::min(lines, kFullDevice / blocks));
}

}  // namespace

void depthwise(const Tensor& x, const Tensor& weight, const Tensor& bias,
               const ops::Conv2dParams& params, const Tensor& y) {
  const Tensor added = bias.defined() ? bias.contiguous() : bias;
  forward("conv2d", shape_of(x, weight.shape(), params, y), x.channels_last(),
          arranged("conv2d", weight, false), added, y);
}

void depthwise_backward_input(const Tensor& any_dy, const Tensor& weight,
                              const ops::Conv2dParams& params, const Tensor& dx) {
  constexpr const char* kOp = "conv2d_backward_input";
  const Tensor dy = any_dy.channels_last();
  Depthwise s = shape_of(dx, weight.shape(), params, dy);
  if (s.times == 1 && s.stride_h == 1 && s.stride_w == 1) {
    // The forward of dy with the kernel turned round.
    std::swap(s.h, s.oh);
    std::swap(s.w, s.ow);
    s.top = (s.kernel_h - 1) * s.dilation_h - s.top;
    s.left = (s.kernel_w - 1) * s.dilation_w - s.left;
    return forward(kOp, s, dy, arranged(kOp, weight, true), Tensor(), dx);
  }
  const Tensor taps = arranged(kOp, weight, false);
  const bool four = s.times == 1 && in_fours(s.channels, dy.address(), dx.address());
  launch(kOp, four ? backward_input_kernel<4> : backward_input_kernel<1>,
         blocks_for(s.images * s.h, 1), threads_for_row(int64_t(s.w) * s.channels / (four ? 4 : 1)),
         0, s, pointer<float>(dy), pointer<float>(taps), pointer<float>(dx));
}

void depthwise_backward_weight(const Tensor& any_x, const Tensor& any_dy,
                               const ops::Conv2dParams& params, const Tensor& dweight) {
  constexpr const char* kOp = "conv2d_backward_weight";
  const Tensor x = any_x.channels_last(), dy = any_dy.channels_last();
  const Depthwise s = shape_of(x, dweight.shape(), params, dy);
  const int64_t lines = s.images * s.oh, total = dweight.numel();
  const auto sum = [&](int64_t parts, const auto& work) {
    const Tensor partial = Tensor::empty({parts, total}, DType::kF32, x.device());
    work(pointer<float>(partial));
    launch(kOp, weight_sums, blocks_for(total), kThreads, 0, total, parts, s.filters,
           pointer<float>(partial), pointer<float>(dweight));
  };
  const auto square = [&](auto kernel, auto stride) {
    constexpr int kKernel = decltype(kernel)::value, kStride = decltype(stride)::value;
    const auto run = [&](auto width) {
      constexpr int kWidth = decltype(width)::value;
      using Block = WeightBlock<kKernel, kWidth>;
      const int64_t a_chunk = Block::kLanes * kWidth, chunks = (s.channels + a_chunk - 1) / a_chunk;
      const int64_t parts = parts_for((lines + Block::kLines - 1) / Block::kLines, chunks);
      sum(parts, [&](float* partial) {
        launch(kOp, square_backward_weight<kKernel, kStride, kWidth>, unsigned(chunks * parts),
               Block::kSize, Block::kShared, s, int(chunks), int(parts), pointer<float>(x),
               pointer<float>(dy), partial);
      });
    };
    if (in_fours(s.channels, x.address(), dy.address()))
      run(std::integral_constant<int, 4>());
    else
      run(std::integral_constant<int, 1>());
  };
  if (with_square(s, square)) return;
  const int64_t chunks = (s.filters + kGeneralLanes - 1) / kGeneralLanes;
  const int64_t tap_blocks = (s.taps() + kGeneralTaps - 1) / kGeneralTaps;
  const int64_t parts = parts_for(lines, chunks * tap_blocks);
  sum(parts, [&](float* partial) {
    launch(kOp, general_backward_weight, unsigned(chunks * tap_blocks * parts),
           dim3(kGeneralLanes, kGeneralTaps), 0, s, int(chunks), int(tap_blocks), int(parts),
           pointer<float>(x), pointer<float>(dy), partial);
  });
}

}  // namespace kintsugi::cuda
