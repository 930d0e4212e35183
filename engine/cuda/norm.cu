#include "kintsugi/engine/cuda/norm.h"

#include <cmath>

#include "kintsugi/engine/cuda/columns.h"
#include "kintsugi/engine/cuda/rows.h"

// Batch and group norm are one algorithm: (images, pixels, channels), statistics over the pixels
// and over runs of `width` channels. Batch norm is one image with runs of one channel. A first pass
// takes two sums of each channel over parts of the pixels, a second adds them up and leaves four
// numbers a channel, with which a third writes the result.
namespace kintsugi::cuda {

namespace {

struct Planes {
  int64_t images, pixels, channels, width;
  int64_t parts, chunk;  // of the first pass: parts of `chunk` pixels

  Planes(const Tensor& x, int64_t groups)
      : images(x.rank() == 3 ? x.size(0) : 1),
        pixels(x.size(-2)),
        channels(x.size(-1)),
        width(channels / groups) {
    const Columns columns(channels);
    parts = parts_for(pixels, columns.rows, images * columns.tiles);
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

// The sums of x - shift and its square, shift an element of the same group: a mean far from zero
// does not cancel the variance.
struct Moments {
  using Read = float;
  const float* x;
  __device__ __forceinline__ double shift(const Planes& p, int64_t image, int64_t channel) const {
    return x[image * p.pixels * p.channels + channel / p.width * p.width];
  }
  __device__ __forceinline__ Read read(int64_t i) const { return x[i]; }
  __device__ __forceinline__ void take(double2& sum, Read v, double shift) const {
    const double d = double(v) - shift;
    sum.x += d;
    sum.y += d * d;
  }
};

// The sums of dy and of dy * (x - mean).
struct Products {
  using Read = float2;
  const float *x, *dy, *mean;
  __device__ __forceinline__ double shift(const Planes& p, int64_t image, int64_t channel) const {
    return mean[p.group_of(image, channel)];
  }
  __device__ __forceinline__ Read read(int64_t i) const { return make_float2(x[i], dy[i]); }
  __device__ __forceinline__ void take(double2& sum, Read v, double shift) const {
    sum.x += double(v.y);
    sum.y += double(v.y) * (double(v.x) - shift);
  }
};

template <class Source>
__global__ void plane_sums(Planes p, Columns columns, Source source, double2* partial) {
  double2* shared = dynamic_shared<double2>();
  const int column = columns.column(), row = columns.row();
  for (int64_t b = blockIdx.x; b < columns.tiles * p.parts * p.images; b += gridDim.x) {
    const int64_t tile = b % columns.tiles, part = b / columns.tiles % p.parts;
    const int64_t image = b / columns.tiles / p.parts, c = tile * columns.width + column;
    const bool mine = row < columns.rows && c < p.channels;
    double2 sum{0, 0};
    if (mine) {
      const double shift = source.shift(p, image, c);
      const int64_t first = image * p.pixels * p.channels + c, step = columns.rows;
      const int64_t end = (part + 1) * p.chunk < p.pixels ? (part + 1) * p.chunk : p.pixels;
      int64_t r = part * p.chunk + row;
      for (; r + 3 * step < end; r += 4 * step) {  // four loads are on their way
        typename Source::Read v[4];
        for (int k = 0; k < 4; ++k) v[k] = source.read(first + (r + k * step) * p.channels);
        for (int k = 0; k < 4; ++k) source.take(sum, v[k], shift);
      }
      for (; r < end; r += step) source.take(sum, source.read(first + r * p.channels), shift);
    }
    if (columns.rows > 1) {
      __syncthreads();  // it may still be read for the last tile
      shared[threadIdx.x] = sum;
      merge_rows(row, columns.rows, [&](int to, int from) {
        double2& a = shared[to * columns.width + column];
        const double2& other = shared[from * columns.width + column];
        a.x += other.x;
        a.y += other.y;
      });
      sum = shared[threadIdx.x];
    }
    if (mine && row == 0) partial[(image * p.channels + c) * p.parts + part] = sum;
  }
}

// 1 / sqrt(variance + epsilon), or that already.
struct Rstd {
  const float *rstd, *variance;
  double epsilon;
  __device__ __forceinline__ double operator()(int64_t group) const {
    return rstd ? double(rstd[group]) : 1 / sqrt(double(variance[group]) + epsilon);
  }
};

struct Statistics {
  const float *x, *weight, *bias;
  float *mean, *rstd, *running_mean, *running_var;  // running_*: or null
  double momentum, epsilon;
};

// `lanes` threads a group. Leaves (center, scale, shift) of each channel for Affine: the center is
// the mean in f32, and the shift has what that lacks.
__global__ void finish_moments(Planes p, int lanes, Statistics s, const double2* partial,
                               float4* numbers) {
  const int lane = int(threadIdx.x) % lanes, rows = int(blockDim.x) / lanes;
  const int64_t groups = p.images * p.channels / p.width;
  for (int64_t first = int64_t(blockIdx.x) * rows; first < groups;
       first += int64_t(gridDim.x) * rows) {
    const int64_t group = first + int(threadIdx.x) / lanes;
    const bool mine = group < groups;
    double sum = 0, squares = 0;
    for (int64_t i = lane; mine && i < p.width * p.parts; i += lanes) {
      const double2 v = partial[group * p.width * p.parts + i];
      sum += v.x;
      squares += v.y;
    }
    sum = row_sum(sum, lanes);
    squares = row_sum(squares, lanes);
    if (!mine) continue;
    const double count = double(p.pixels * p.width);
    const int64_t image = group * p.width / p.channels, channel = group * p.width % p.channels;
    const double mean = double(s.x[image * p.pixels * p.channels + channel]) + sum / count;
    double variance = (squares - sum * (sum / count)) / count;
    if (variance < 0) variance = 0;  // NaN passes
    const double rstd = 1 / sqrt(variance + s.epsilon);
    if (lane == 0) {
      s.mean[group] = float(mean);
      s.rstd[group] = float(rstd);
      const double keep = 1 - s.momentum;
      if (s.running_mean) {
        s.running_mean[group] = float(keep * s.running_mean[group] + s.momentum * mean);
      }
      if (s.running_var) {
        const double unbiased = variance * count / (count - 1);
        s.running_var[group] = float(keep * s.running_var[group] + s.momentum * unbiased);
      }
    }
    for (int64_t i = lane; i < p.width; i += lanes) {
      const double scale = rstd * (s.weight ? s.weight[channel + i] : 1);
      const double bias = s.bias ? s.bias[channel + i] : 0;
      const double rest = mean - double(float(mean));
      numbers[group * p.width + i] =
          make_float4(float(mean), float(scale), float(bias - rest * scale), 0);
    }
  }
}

// (mean, scale of dy, scale of x - mean, shift) of each channel for AffineBackward; dweight and
// dbias (or null) where a channel is a group.
__global__ void finish_products(Planes p, int lanes, const float* weight, const float* mean,
                                const float* rstd, const double2* partial, float4* numbers,
                                float* dweight, float* dbias) {
  const int lane = int(threadIdx.x) % lanes, rows = int(blockDim.x) / lanes;
  const int64_t groups = p.images * p.channels / p.width;
  for (int64_t first = int64_t(blockIdx.x) * rows; first < groups;
       first += int64_t(gridDim.x) * rows) {
    const int64_t group = first + int(threadIdx.x) / lanes;
    const bool mine = group < groups;
    const int64_t channel = group * p.width % p.channels;
    double sum = 0, products = 0;
    for (int64_t i = lane; mine && i < p.width * p.parts; i += lanes) {
      const double2 v = partial[group * p.width * p.parts + i];
      const double w = weight && p.width > 1 ? weight[channel + i / p.parts] : 1;
      sum += w * v.x;
      products += w * v.y;
    }
    sum = row_sum(sum, lanes);
    products = row_sum(products, lanes);
    if (!mine) continue;
    const double r = rstd[group], count = double(p.pixels * p.width);
    if (lane == 0 && dweight) dweight[group] = float(products * r);
    if (lane == 0 && dbias) dbias[group] = float(sum);
    if (weight && p.width == 1) {
      sum *= weight[channel];
      products *= weight[channel];
    }
    for (int64_t i = lane; i < p.width; i += lanes) {
      const double w = weight ? weight[channel + i] : 1;
      numbers[group * p.width + i] = make_float4(
          mean[group], float(r * w), float(-r * r * r * products / count), float(-r * sum / count));
    }
  }
}

// dweight and dbias (or null) of each channel, over images and parts.
__global__ void parameter_grads(Planes p, int lanes, Rstd rstd, const double2* partial,
                                float* dweight, float* dbias) {
  const int lane = int(threadIdx.x) % lanes, rows = int(blockDim.x) / lanes;
  for (int64_t first = int64_t(blockIdx.x) * rows; first < p.channels;
       first += int64_t(gridDim.x) * rows) {
    const int64_t c = first + int(threadIdx.x) / lanes;
    double sum = 0, products = 0;
    for (int64_t i = lane; c < p.channels && i < p.images * p.parts; i += lanes) {
      const int64_t image = i / p.parts, part = i - image * p.parts;
      const double2 v = partial[(image * p.channels + c) * p.parts + part];
      sum += v.x;
      products += v.y * rstd(p.group_of(image, c));
    }
    sum = row_sum(sum, lanes);
    products = row_sum(products, lanes);
    if (lane == 0 && c < p.channels) {
      if (dweight) dweight[c] = float(products);
      if (dbias) dbias[c] = float(sum);
    }
  }
}

// What the third pass computes: four numbers a channel, then N elements at a time.
struct Affine {
  const float* x;
  const float4* numbers;
  __device__ __forceinline__ float4 of(int64_t image, int64_t channel, int64_t channels) const {
    return numbers[image * channels + channel];
  }
  template <int N>
  __device__ __forceinline__ Floats<N> at(int64_t i, const float4 (&n)[N]) const {
    Floats<N> v = reinterpret_cast<const Floats<N>*>(x)[i];
    for (int k = 0; k < N; ++k) v.at[k] = (v.at[k] - n[k].x) * n[k].y + n[k].z;
    return v;
  }
};

// From given statistics, one image.
struct GivenAffine {
  const float *x, *weight, *bias, *mean;
  Rstd rstd;
  __device__ __forceinline__ float4 of(int64_t, int64_t c, int64_t) const {
    return make_float4(mean[c], float(rstd(c) * (weight ? weight[c] : 1)), bias ? bias[c] : 0, 0);
  }
  template <int N>
  __device__ __forceinline__ Floats<N> at(int64_t i, const float4 (&n)[N]) const {
    return Affine{x, nullptr}.template at<N>(i, n);
  }
};

struct AffineBackward {
  const float *x, *dy;
  const float4* numbers;
  __device__ __forceinline__ float4 of(int64_t image, int64_t channel, int64_t channels) const {
    return numbers[image * channels + channel];
  }
  template <int N>
  __device__ __forceinline__ Floats<N> at(int64_t i, const float4 (&n)[N]) const {
    const Floats<N> v = reinterpret_cast<const Floats<N>*>(x)[i];
    Floats<N> d = reinterpret_cast<const Floats<N>*>(dy)[i];
    for (int k = 0; k < N; ++k) {
      d.at[k] = n[k].y * d.at[k] + (n[k].z * (v.at[k] - n[k].x) + n[k].w);
    }
    return d;
  }
};

struct GivenBackward {
  const float *dy, *weight;
  Rstd rstd;
  __device__ __forceinline__ float4 of(int64_t, int64_t c, int64_t) const {
    return make_float4(0, float(rstd(c) * (weight ? weight[c] : 1)), 0, 0);
  }
  template <int N>
  __device__ __forceinline__ Floats<N> at(int64_t i, const float4 (&n)[N]) const {
    Floats<N> d = reinterpret_cast<const Floats<N>*>(dy)[i];
    for (int k = 0; k < N; ++k) d.at[k] *= n[k].y;
    return d;
  }
};

constexpr int64_t kSteps = 16;  // rows of a thread in the third pass

template <class F, int N>
__global__ void map_planes(Planes p, Columns columns, F f, float* y) {
  const int64_t units = p.channels / N, chunk = columns.rows * kSteps;
  const int64_t parts = (p.pixels + chunk - 1) / chunk;
  if (columns.row() >= columns.rows) return;
  for (int64_t b = blockIdx.x; b < columns.tiles * parts * p.images; b += gridDim.x) {
    const int64_t c = b % columns.tiles * columns.width + columns.column();
    const int64_t part = b / columns.tiles % parts, image = b / columns.tiles / parts;
    if (c >= units) continue;
    float4 numbers[N];
    for (int k = 0; k < N; ++k) numbers[k] = f.of(image, c * N + k, p.channels);
    const int64_t end = (part + 1) * chunk < p.pixels ? (part + 1) * chunk : p.pixels;
    for (int64_t r = part * chunk + columns.row(); r < end; r += columns.rows) {
      const int64_t i = (image * p.pixels + r) * units + c;
      reinterpret_cast<Floats<N>*>(y)[i] = f.template at<N>(i, numbers);
    }
  }
}

template <class F>
void run_map(const char* op, const Planes& p, const F& f, bool fours, const Tensor& y) {
  const auto run = [&](auto wide) {
    constexpr int kN = decltype(wide)::value;
    const Columns columns(p.channels / kN);
    const int64_t parts = (p.pixels + columns.rows * kSteps - 1) / (columns.rows * kSteps);
    launch(op, map_planes<F, kN>, blocks_for(columns.tiles * parts * p.images, 1), columns.threads,
           0, p, columns, f, pointer<float>(y));
  };
  if (fours && p.channels % 4 == 0 && in_fours(y.address())) {
    run(std::integral_constant<int, 4>());
  } else {
    run(std::integral_constant<int, 1>());
  }
}

template <class Source>
void run_sums(const char* op, const Planes& p, const Source& source, const Tensor& partial) {
  const Columns columns(p.channels);
  launch(op, plane_sums<Source>, blocks_for(columns.tiles * p.parts * p.images, 1), columns.threads,
         columns.rows > 1 ? size_t(columns.threads) * sizeof(double2) : 0, p, columns, source,
         reinterpret_cast<double2*>(pointer<double>(partial)));
}

// Threads for a sum of n, and blocks for `rows` of them.
struct Finish {
  int lanes, threads;
  unsigned blocks;
  Finish(int64_t rows, int64_t n)
      : lanes(n > 256 ? 128 : 32), threads(128), blocks(blocks_for(rows, threads / lanes)) {}
};

bool norm(const char* op, const Tensor& x, int64_t groups, Statistics s, const Tensor& y) {
  if (x.dtype() != DType::kF32) return false;
  if (x.numel() == 0) return true;
  const Planes p(x, groups);
  const Tensor partial = p.partial(x);
  const Tensor numbers = Tensor::empty({p.images * p.channels, 4}, DType::kF32, x.device());
  float4* four = reinterpret_cast<float4*>(pointer<float>(numbers));
  run_sums(op, p, Moments{s.x}, partial);
  const Finish finish(p.groups(), p.width * p.parts);
  launch(op, finish_moments, finish.blocks, finish.threads, Rows::kScratch, p, finish.lanes, s,
         reinterpret_cast<double2*>(pointer<double>(partial)), four);
  run_map(op, p, Affine{s.x, four}, in_fours(s.x), y);
  return true;
}

void zero(const Tensor& x) {
  if (x.defined()) Tensor(x).fill(0);
}

void run_parameter_grads(const char* op, const Planes& p, const Rstd& rstd, const Tensor& partial,
                         const Tensor& dweight, const Tensor& dbias) {
  const Finish finish(p.channels, p.images * p.parts);
  launch(op, parameter_grads, finish.blocks, finish.threads, Rows::kScratch, p, finish.lanes, rstd,
         reinterpret_cast<double2*>(pointer<double>(partial)), pointer<float>(dweight),
         pointer<float>(dbias));
}

bool norm_backward(const char* op, const Tensor& x, int64_t groups, const Tensor& weight,
                   const Tensor& mean, const Tensor& rstd, const Tensor& dy, const Tensor& dx,
                   const Tensor& dweight, const Tensor& dbias) {
  if (x.dtype() != DType::kF32) return false;
  if (x.numel() == 0) {
    zero(dweight);
    zero(dbias);
    return true;
  }
  const Planes p(x, groups);
  const Tensor partial = p.partial(x);
  const Tensor numbers = Tensor::empty({p.images * p.channels, 4}, DType::kF32, x.device());
  float4* four = reinterpret_cast<float4*>(pointer<float>(numbers));
  const float *src = pointer<float>(x), *grad = pointer<float>(dy);
  run_sums(op, p, Products{src, grad, pointer<float>(mean)}, partial);
  const Finish finish(p.groups(), p.width * p.parts);
  const bool channelwise = p.images == 1 && p.width == 1;
  launch(op, finish_products, finish.blocks, finish.threads, Rows::kScratch, p, finish.lanes,
         pointer<float>(weight), pointer<float>(mean), pointer<float>(rstd),
         reinterpret_cast<double2*>(pointer<double>(partial)), four,
         channelwise ? pointer<float>(dweight) : nullptr,
         channelwise ? pointer<float>(dbias) : nullptr);
  if (!channelwise && (dweight.defined() || dbias.defined())) {
    run_parameter_grads(op, p, Rstd{pointer<float>(rstd), nullptr, 0}, partial, dweight, dbias);
  }
  run_map(op, p, AffineBackward{src, grad, four}, in_fours(src, grad), dx);
  return true;
}

}  // namespace

bool batch_norm_train(const Tensor& x, const Tensor& weight, const Tensor& bias,
                      const Tensor& running_mean, const Tensor& running_var, double momentum,
                      double epsilon, const Tensor& y, const Tensor& mean, const Tensor& rstd) {
  return norm("batch_norm_train", x, x.size(1),
              Statistics{pointer<float>(x), pointer<float>(weight), pointer<float>(bias),
                         pointer<float>(mean), pointer<float>(rstd), pointer<float>(running_mean),
                         pointer<float>(running_var), momentum, epsilon},
              y);
}

bool batch_norm_train_backward(const Tensor& x, const Tensor& weight, const Tensor& mean,
                               const Tensor& rstd, const Tensor& dy, const Tensor& dx,
                               const Tensor& dweight, const Tensor& dbias) {
  return norm_backward("batch_norm_train_backward", x, x.size(1), weight, mean, rstd, dy, dx,
                       dweight, dbias);
}

bool batch_norm_eval(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& mean,
                     const Tensor& variance, double epsilon, const Tensor& y) {
  if (x.dtype() != DType::kF32) return false;
  if (x.numel() == 0) return true;
  const Planes p(x, x.size(1));
  const GivenAffine f{pointer<float>(x), pointer<float>(weight), pointer<float>(bias),
                      pointer<float>(mean), Rstd{nullptr, pointer<float>(variance), epsilon}};
  run_map("batch_norm_eval", p, f, in_fours(f.x), y);
  return true;
}

bool batch_norm_eval_backward(const Tensor& x, const Tensor& weight, const Tensor& mean,
                              const Tensor& variance, double epsilon, const Tensor& dy,
                              const Tensor& dx, const Tensor& dweight, const Tensor& dbias) {
  constexpr const char* kOp = "batch_norm_eval_backward";
  if (x.dtype() != DType::kF32) return false;
  if (x.numel() == 0) {
    zero(dweight);
    zero(dbias);
    return true;
  }
  const Planes p(x, x.size(1));
  const Rstd rstd{nullptr, pointer<float>(variance), epsilon};
  const float *src = pointer<float>(x), *grad = pointer<float>(dy);
  if (dweight.defined() || dbias.defined()) {
    const Tensor partial = p.partial(x);
    run_sums(kOp, p, Products{src, grad, pointer<float>(mean)}, partial);
    run_parameter_grads(kOp, p, rstd, partial, dweight, dbias);
  }
  run_map(kOp, p, GivenBackward{grad, pointer<float>(weight), rstd}, in_fours(grad), dx);
  return true;
}

bool group_norm(const Tensor& x, int64_t groups, const Tensor& weight, const Tensor& bias,
                double epsilon, const Tensor& y, const Tensor& mean, const Tensor& rstd) {
  return norm("group_norm", x, groups,
              Statistics{pointer<float>(x), pointer<float>(weight), pointer<float>(bias),
                         pointer<float>(mean), pointer<float>(rstd), nullptr, nullptr, 0, epsilon},
              y);
}

bool group_norm_backward(const Tensor& x, int64_t groups, const Tensor& weight, const Tensor& mean,
                         const Tensor& rstd, const Tensor& dy, const Tensor& dx,
                         const Tensor& dweight, const Tensor& dbias) {
  return norm_backward("group_norm_backward", x, groups, weight, mean, rstd, dy, dx, dweight,
                       dbias);
}

}  // namespace kintsugi::cuda
