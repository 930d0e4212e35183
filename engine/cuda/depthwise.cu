#include "kintsugi/engine/cuda/depthwise.h"

#include <limits>
#include <utility>

#include "kintsugi/engine/cuda/grid.h"

namespace kintsugi::cuda {

namespace {

// y (images,oh,ow,filters) from x (images,h,w,channels); `times` filters a channel.
struct Depthwise {
  int64_t images;
  int h, w, channels, oh, ow, filters, times;
  int kernel_h, kernel_w, stride_h, stride_w, top, left, dilation_h, dilation_w;
  float least;  // y is at least so much

  int taps() const { return kernel_h * kernel_w; }
};

__device__ __forceinline__ bool inside(int at, int extent) {
  return unsigned(at) < unsigned(extent);
}

template <int kWidth, class T>
__device__ __forceinline__ Floats<kWidth> read_or_zero(const T* from, bool seen) {
  Floats<kWidth> out{};
  if (seen) out = read<kWidth>(from);
  return out;
}
template <int kWidth>
__device__ __forceinline__ void add_product(Floats<kWidth>& to, const Floats<kWidth>& a,
                                            const Floats<kWidth>& b) {
  KINTSUGI_UNROLL
  for (int k = 0; k < kWidth; ++k) to.at[k] += a.at[k] * b.at[k];
}

template <int kWidth>
__device__ __forceinline__ void raise(Floats<kWidth>& to, float least) {
  KINTSUGI_UNROLL
  for (int k = 0; k < kWidth; ++k) to.at[k] = at_least(least, to.at[k]);
}

// body(image, row, item) for the items of each of `rows` rows of each image.
template <class Body>
__device__ __forceinline__ void for_each_item(int64_t images, int rows, int items,
                                              const Body& body) {
  const uint32_t chunks = (uint32_t(items) + blockDim.x - 1) / blockDim.x;
  const uint32_t all = uint32_t(images) * uint32_t(rows) * chunks;
  for (uint32_t b = blockIdx.x; b < all; b += gridDim.x) {
    const uint32_t line = b / chunks, n = line / uint32_t(rows);
    const int item = int((b - line * chunks) * blockDim.x + threadIdx.x);
    if (item < items) body(int64_t(n), int(line - n * uint32_t(rows)), item);
  }
}

// What a thread of the square kernels has: channels, as many as its registers allow, of results
// along a row, that share what they read.
constexpr int kSquareWidth = 4;
template <int kStride>
constexpr int kStripOf = kStride == 1 ? 8 : 4;

// Square kernels of one filter a channel, without dilation; weight (taps, filters).
template <class T, int kKernel, int kStride, int kWidth>
__global__ void square_kernel(Depthwise s, const T* x, const float* weight, const float* bias,
                              T* y) {
  constexpr int kStrip = kStripOf<kStride>, kRead = (kStrip - 1) * kStride + kKernel;
  const int lanes = s.channels / kWidth, items = (s.ow + kStrip - 1) / kStrip * lanes;
  for_each_item(s.images, s.oh, items, [&](int64_t n, int i, int e) {
    const int strip = e / lanes, j = strip * kStrip, c = (e - strip * lanes) * kWidth;
    const Floats<kWidth> first = read_or_zero<kWidth>(bias + c, bias != nullptr);
    Floats<kWidth> sum[kStrip];
    KINTSUGI_UNROLL
    for (int u = 0; u < kStrip; ++u) sum[u] = first;
    const int left = j * kStride - s.left;
    for (int p = 0; p < kKernel; ++p) {
      const int row = i * kStride + p - s.top;
      if (!inside(row, s.h)) continue;
      Floats<kWidth> by[kKernel];
      KINTSUGI_UNROLL
      for (int q = 0; q < kKernel; ++q) {
        by[q] = read<kWidth>(weight + int64_t(p * kKernel + q) * s.channels + c);
      }
      const T* from = x + ((n * s.h + row) * s.w + left) * s.channels + c;
      KINTSUGI_UNROLL
      for (int t = 0; t < kRead; ++t) {
        const auto value =
            read_or_zero<kWidth>(from + int64_t(t) * s.channels, inside(left + t, s.w));
        KINTSUGI_UNROLL
        for (int u = 0; u < kStrip; ++u) {
          const int q = t - u * kStride;
          if (q < 0 || q >= kKernel) continue;
          add_product(sum[u], by[q], value);
        }
      }
    }
    KINTSUGI_UNROLL
    for (int u = 0; u < kStrip; ++u) {
      raise(sum[u], s.least);
      if (j + u < s.ow) write(y + ((n * s.oh + i) * s.ow + j + u) * s.channels + c, sum[u]);
    }
  });
}

// Any kernel; kWidth is 1 where there are several filters a channel.
template <class T, int kWidth>
__global__ void general_kernel(Depthwise s, const T* x, const float* weight, const float* bias,
                               T* y) {
  const int lanes = s.filters / kWidth;
  for_each_item(s.images, s.oh, s.ow * lanes, [&](int64_t n, int i, int e) {
    const int j = e / lanes, o = (e - j * lanes) * kWidth, c = kWidth == 1 ? o / s.times : o;
    Floats<kWidth> sum = read_or_zero<kWidth>(bias + o, bias != nullptr);
    for (int p = 0; p < s.kernel_h; ++p) {
      const int row = i * s.stride_h + p * s.dilation_h - s.top;
      if (!inside(row, s.h)) continue;
      for (int q = 0; q < s.kernel_w; ++q) {
        const int column = j * s.stride_w + q * s.dilation_w - s.left;
        if (!inside(column, s.w)) continue;
        add_product(sum, read<kWidth>(weight + int64_t(p * s.kernel_w + q) * s.filters + o),
                    read<kWidth>(x + ((n * s.h + row) * s.w + column) * s.channels + c));
      }
    }
    raise(sum, s.least);
    write(y + ((n * s.oh + i) * s.ow + j) * s.filters + o, sum);
  });
}

// dx from dy, in gather form: output (position + before - tap * dilation) / stride, where that is
// whole, sees the position through the tap.
template <class T, int kWidth>
__global__ void backward_input_kernel(Depthwise s, const T* dy, const float* weight, T* dx) {
  const int lanes = s.channels / kWidth;
  // Without dilation, taps that see the position are stride apart.
  const int step_h = s.dilation_h == 1 ? s.stride_h : 1;
  const int step_w = s.dilation_w == 1 ? s.stride_w : 1;
  for_each_item(s.images, s.h, s.w * lanes, [&](int64_t n, int u, int e) {
    const int v = e / lanes, c = (e - v * lanes) * kWidth, down = u + s.top, across = v + s.left;
    Floats<kWidth> sum{};
    for (int p = step_h == 1 ? 0 : down % step_h; p < s.kernel_h; p += step_h) {
      const int scaled_i = down - p * s.dilation_h, i = scaled_i / s.stride_h;
      if (scaled_i < 0 || i * s.stride_h != scaled_i || i >= s.oh) continue;
      for (int q = step_w == 1 ? 0 : across % step_w; q < s.kernel_w; q += step_w) {
        const int scaled_j = across - q * s.dilation_w, j = scaled_j / s.stride_w;
        if (scaled_j < 0 || j * s.stride_w != scaled_j || j >= s.ow) continue;
        const T* from = dy + ((n * s.oh + i) * s.ow + j) * s.filters;
        const float* by_tap = weight + int64_t(p * s.kernel_w + q) * s.filters;
        for (int o = c * s.times; o < (c + kWidth) * s.times; o += kWidth) {
          add_product(sum, read<kWidth>(by_tap + o), read<kWidth>(from + o));
        }
      }
    }
    write(dx + ((n * s.h + u) * s.w + v) * s.channels + c, sum);
  });
}

// partial (parts, taps, filters): each part is some rows of y. A thread has kWidth filters and one
// row of the kernel, and every kLines-th of its block's rows.
template <int kKernel, int kWidth>
struct WeightBlock {
  static constexpr int kLanes = kWidth == kSquareWidth ? 16 : 32;
  static constexpr int kLines = kThreads / (kLanes * kKernel);
  static constexpr int kSize = kLanes * kKernel * kLines;  // threads
  static constexpr size_t kShared = sizeof(float) * kSize * kKernel * kWidth;
};

template <class T, int kKernel, int kStride, int kWidth>
__global__ void square_backward_weight(Depthwise s, int chunks, int parts, const T* x, const T* dy,
                                       float* partial) {
  using Block = WeightBlock<kKernel, kWidth>;
  constexpr int kStrip = 4, kRead = (kStrip - 1) * kStride + kKernel;
  float* shared = dynamic_shared<float>();  // (kLines, kKernel, kKernel, kLanes * kWidth)
  const int lane = int(threadIdx.x) % Block::kLanes;
  const int p = int(threadIdx.x) / Block::kLanes % kKernel;
  const int first = int(threadIdx.x) / Block::kLanes / kKernel;
  const int chunk = int(blockIdx.x) % chunks, part = int(blockIdx.x) / chunks;
  const int c = (chunk * Block::kLanes + lane) * kWidth;
  Floats<kWidth> sum[kKernel] = {};
  const int64_t lines = s.images * s.oh;
  for (int64_t line = int64_t(part) * Block::kLines + first; line < lines && c < s.channels;
       line += int64_t(parts) * Block::kLines) {
    const int64_t n = line / s.oh;
    const int row = int(line - n * s.oh) * kStride + p - s.top;
    if (!inside(row, s.h)) continue;
    Floats<kWidth> of_line[kKernel] = {};
    for (int j = 0; j < s.ow; j += kStrip) {
      Floats<kWidth> diff[kStrip];
      KINTSUGI_UNROLL
      for (int u = 0; u < kStrip; ++u) {
        diff[u] = read_or_zero<kWidth>(dy + (line * s.ow + j + u) * s.channels + c, j + u < s.ow);
      }
      const int left = j * kStride - s.left;
      const T* from = x + ((n * s.h + row) * s.w + left) * s.channels + c;
      KINTSUGI_UNROLL
      for (int t = 0; t < kRead; ++t) {
        const auto value =
            read_or_zero<kWidth>(from + int64_t(t) * s.channels, inside(left + t, s.w));
        KINTSUGI_UNROLL
        for (int u = 0; u < kStrip; ++u) {
          const int q = t - u * kStride;
          if (q < 0 || q >= kKernel) continue;
          add_product(of_line[q], diff[u], value);
        }
      }
    }
    KINTSUGI_UNROLL
    for (int q = 0; q < kKernel; ++q) {
      KINTSUGI_UNROLL
      for (int k = 0; k < kWidth; ++k) sum[q].at[k] += of_line[q].at[k];
    }
  }
  KINTSUGI_UNROLL
  for (int q = 0; q < kKernel; ++q) {
    store(shared + (((first * kKernel + p) * kKernel + q) * Block::kLanes + lane) * kWidth, sum[q]);
  }
  __syncthreads();
  if (first != 0 || c >= s.channels) return;
  for (int q = 0; q < kKernel; ++q) {
    Floats<kWidth> total{};
    for (int l = 0; l < Block::kLines; ++l) {
      const auto value = load<kWidth>(
          shared + (((l * kKernel + p) * kKernel + q) * Block::kLanes + lane) * kWidth);
      for (int k = 0; k < kWidth; ++k) total.at[k] += value.at[k];
    }
    store(partial + (int64_t(part) * kKernel * kKernel + p * kKernel + q) * s.channels + c, total);
  }
}

// The same for any kernel: a thread has one filter and one tap.
constexpr int kGeneralLanes = 32, kGeneralTaps = 8;

template <class T>
__global__ void general_backward_weight(Depthwise s, int chunks, int tap_blocks, int parts,
                                        const T* x, const T* dy, float* partial) {
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
      of_line += widen(dy[(line * s.ow + j) * s.filters + o]) *
                 widen(x[((n * s.h + row) * s.w + column) * s.channels + c]);
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
          int(p.padding[0]), int(p.padding[2]), int(p.dilation[0]), int(p.dilation[1]),
          -std::numeric_limits<float>::infinity()};
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

// Launches a kernel that goes over items of each of s.images * rows rows.
template <class... Parameters, class... Arguments>
void launch_rows(const char* op, void (*kernel)(Parameters...), const Depthwise& s, int rows,
                 int64_t items, const Arguments&... arguments) {
  constexpr int64_t kFew = 1 << 15;  // items that leave a device idle in larger blocks
  const int64_t lines = s.images * rows;
  const unsigned threads = lines * items < kFew ? 64 : threads_for_row(items);
  launch(op, kernel, blocks_for(lines * ((items + threads - 1) / threads), 1), threads, 0, s,
         arguments...);
}

template <class T>
void forward(const char* op, const Depthwise& s, const Tensor& x, const Tensor& weight,
             const Tensor& bias, const Tensor& y) {
  const auto run = [&](auto kernel, int64_t items) {
    launch_rows(op, kernel, s, s.oh, items, pointer<T>(x), pointer<float>(weight),
                pointer<float>(bias), pointer<T>(y));
  };
  const bool aligned =
      s.times == 1 && are_aligned(x.address(), y.address(), weight.address(), pointer<float>(bias));
  const auto square = [&](auto kernel, auto stride) {
    constexpr int kKernel = decltype(kernel)::value, kStride = decltype(stride)::value;
    constexpr int kStrip = kStripOf<kStride>;
    const int64_t strips = (s.ow + kStrip - 1) / kStrip;
    if (aligned && s.channels % kSquareWidth == 0)
      run(square_kernel<T, kKernel, kStride, kSquareWidth>, strips * (s.channels / kSquareWidth));
    else
      run(square_kernel<T, kKernel, kStride, 1>, strips * s.channels);
  };
  if (with_square(s, square)) return;
  constexpr int kWidth = kLanesOf<T>;
  if (aligned && s.filters % kWidth == 0)
    run(general_kernel<T, kWidth>, int64_t(s.ow) * (s.filters / kWidth));
  else
    run(general_kernel<T, 1>, int64_t(s.ow) * s.filters);
}

constexpr int64_t kFullDevice = 1056;  // blocks that keep a device busy

int64_t parts_for(int64_t lines, int64_t blocks) {
  return std::max<int64_t>(1, std::min(lines, kFullDevice / blocks));
}

template <class T>
void backward_input(const Tensor& any_dy, const Tensor& weight, const ops::Conv2dParams& params,
                    const Tensor& dx) {
  constexpr const char* kOp = "conv2d_backward_input";
  const Tensor dy = any_dy.channels_last();
  Depthwise s = shape_of(dx, weight.shape(), params, dy);
  if (s.times == 1 && s.stride_h == 1 && s.stride_w == 1) {
    // The forward of dy with the kernel turned round.
    std::swap(s.h, s.oh);
    std::swap(s.w, s.ow);
    s.top = (s.kernel_h - 1) * s.dilation_h - s.top;
    s.left = (s.kernel_w - 1) * s.dilation_w - s.left;
    return forward<T>(kOp, s, dy, arranged(kOp, weight, true), Tensor(), dx);
  }
  const Tensor taps = arranged(kOp, weight, false);
  const auto run = [&](auto kernel, int width) {
    launch_rows(kOp, kernel, s, s.h, int64_t(s.w) * (s.channels / width), pointer<T>(dy),
                pointer<float>(taps), pointer<T>(dx));
  };
  constexpr int kWidth = kLanesOf<T>;
  if (s.times == 1 && s.channels % kWidth == 0 && are_aligned(dy.address(), dx.address()))
    run(backward_input_kernel<T, kWidth>, kWidth);
  else
    run(backward_input_kernel<T, 1>, 1);
}

template <class T>
void backward_weight(const Tensor& any_x, const Tensor& any_dy, const ops::Conv2dParams& params,
                     const Tensor& dweight) {
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
        launch(kOp, square_backward_weight<T, kKernel, kStride, kWidth>, unsigned(chunks * parts),
               Block::kSize, Block::kShared, s, int(chunks), int(parts), pointer<T>(x),
               pointer<T>(dy), partial);
      });
    };
    if (s.channels % kSquareWidth == 0 && are_aligned(x.address(), dy.address()))
      run(std::integral_constant<int, kSquareWidth>());
    else
      run(std::integral_constant<int, 1>());
  };
  if (with_square(s, square)) return;
  const int64_t chunks = (s.filters + kGeneralLanes - 1) / kGeneralLanes;
  const int64_t tap_blocks = (s.taps() + kGeneralTaps - 1) / kGeneralTaps;
  const int64_t parts = parts_for(lines, chunks * tap_blocks);
  sum(parts, [&](float* partial) {
    launch(kOp, general_backward_weight<T>, unsigned(chunks * tap_blocks * parts),
           dim3(kGeneralLanes, kGeneralTaps), 0, s, int(chunks), int(tap_blocks), int(parts),
           pointer<T>(x), pointer<T>(dy), partial);
  });
}

}  // namespace

void depthwise(const Tensor& x, const Tensor& weight, const Tensor& bias,
               const ops::Conv2dParams& params, const Tensor& y) {
  const Tensor added = bias.defined() ? bias.contiguous() : bias;
  Depthwise s = shape_of(x, weight.shape(), params, y);
  if (params.relu) s.least = 0;
  visit_storage(x, [&](auto t) {
    forward<decltype(t)>("conv2d", s, x.channels_last(), arranged("conv2d", weight, false), added,
                         y);
  });
}

void depthwise_backward_input(const Tensor& dy, const Tensor& weight,
                              const ops::Conv2dParams& params, const Tensor& dx) {
  visit_storage(dy, [&](auto t) { backward_input<decltype(t)>(dy, weight, params, dx); });
}

void depthwise_backward_weight(const Tensor& x, const Tensor& dy, const ops::Conv2dParams& params,
                               const Tensor& dweight) {
  visit_storage(x, [&](auto t) { backward_weight<decltype(t)>(x, dy, params, dweight); });
}

}  // namespace kintsugi::cuda
