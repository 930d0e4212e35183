#include "kintsugi/engine/cuda/norm.h"

#include <cmath>

#include "kintsugi/engine/cuda/planes.h"

// Batch and group norm are one algorithm: (images, pixels, channels), statistics over the pixels
// and over runs of `width` channels. Batch norm is one image with runs of one channel. A first pass
// takes two sums of each channel over parts of the pixels, a second adds them up and leaves four
// numbers a channel, with which a third writes the result.
namespace kintsugi::cuda {

namespace {

// The sums of x and its square. A thread takes them of x - shift, shift its first element: a mean
// far from zero cancels nothing in f32, and the rest is double.
template <class T>
struct Moments {
  static constexpr bool kShifted = true;
  static constexpr int kRun = 8;  // pixels whose loads are on their way at once
  const T* x;
  template <int N>
  using Read = Vector<T, N>;

  template <int N>
  __device__ __forceinline__ Floats<N> shift(const Planes&, int64_t, int64_t, int64_t first) const {
    return cuda::read<N>(x + first);
  }
  // Where there is no pixel, what adds nothing to the sums: the first one again.
  template <int N>
  __device__ __forceinline__ Read<N> read(bool is, int64_t i, int64_t first) const {
    return load<N>(x + (is ? i : first));
  }
  template <int N>
  __device__ __forceinline__ static float2 pair(const Read<N>& v, int e, float shift) {
    const float d = widen(v.at[e]) - shift;
    return make_float2(d, d * d);
  }
};

// The sums of dy and of dy * (x - mean).
template <class T>
struct Products {
  static constexpr bool kShifted = false;
  static constexpr int kRun = 4;
  const T *x, *dy;
  const float* mean;
  template <int N>
  struct Read {
    Vector<T, N> x, dy;
  };

  template <int N>
  __device__ __forceinline__ Floats<N> shift(const Planes& p, int64_t image, int64_t channel,
                                             int64_t) const {
    Floats<N> out;
    int64_t group = p.group_of(image, channel), left = p.width - channel % p.width;
    KINTSUGI_UNROLL
    for (int e = 0; e < N; ++e) {
      out.at[e] = mean[group];
      if (--left == 0) {
        ++group;
        left = p.width;
      }
    }
    return out;
  }
  template <int N>
  __device__ __forceinline__ Read<N> read(bool is, int64_t i, int64_t) const {
    Read<N> out = {};
    if (is) out = {load<N>(x + i), load<N>(dy + i)};
    return out;
  }
  template <int N>
  __device__ __forceinline__ static float2 pair(const Read<N>& v, int e, float shift) {
    const float d = widen(v.dy.at[e]);
    return make_float2(d, d * (widen(v.x.at[e]) - shift));
  }
};

// 1 / sqrt(variance + epsilon), or that already.
struct Rstd {
  const float *rstd, *variance;
  double epsilon;
  __device__ __forceinline__ double operator()(int64_t group) const {
    return rstd ? double(rstd[group]) : 1 / sqrt(double(variance[group]) + epsilon);
  }
};

struct Statistics {
  const float *weight, *bias;
  float *mean, *rstd, *running_mean, *running_var;  // running_*: or null
  double momentum, epsilon;
};

// `lanes` threads a group. The center is the mean in f32, and the shift has what that lacks.
__global__ void finish_moments(Planes p, int lanes, Statistics s, const double2* partial,
                               Lines lines) {
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
    const int64_t channel = group * p.width % p.channels;
    const double mean = sum / count;
    double variance = (squares - sum * mean) / count;
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
      lines.put(group * p.width + i, float(mean), scale, bias - rest * scale, 0);
    }
  }
}

// Lines for the backward; dweight and dbias (or null) where a channel is a group.
__global__ void finish_products(Planes p, int lanes, const float* weight, const float* mean,
                                const float* rstd, const double2* partial, Lines lines,
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
      lines.put(group * p.width + i, mean[group], r * w, -r * sum / count,
                -r * r * r * products / count);
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

// Lines of one image from given statistics and parameters, each or null; the slope is 0.
struct Given {
  const float *mean, *variance, *weight, *bias;
  float epsilon;

  template <int N>
  __device__ __forceinline__ Line<N> get(int64_t, int64_t c, int64_t) const {
    Line<N> out = {};
    if (mean) out.center = read<N>(mean + c);
    if (weight) out.scale = read<N>(weight + c);
    if (bias) out.shift = read<N>(bias + c);
    const Floats<N> v = read<N>(variance + c);
    KINTSUGI_UNROLL
    for (int e = 0; e < N; ++e) {
      out.scale.at[e] = (weight ? out.scale.at[e] : 1) / sqrtf(v.at[e] + epsilon);
    }
    return out;
  }
};

template <class T>
struct Forward {
  const T* x;
  template <int N>
  using Read = Vector<T, N>;
  template <int N>
  __device__ __forceinline__ Read<N> read(int64_t i) const {
    return load<N>(x + i);
  }
  template <int N>
  __device__ __forceinline__ static Floats<N> result(const Read<N>& in, const Line<N>& line) {
    Floats<N> v = widen(in);
    KINTSUGI_UNROLL
    for (int e = 0; e < N; ++e) {
      v.at[e] = (v.at[e] - line.center.at[e]) * line.scale.at[e] + line.shift.at[e];
    }
    return v;
  }
};

template <class T>
struct Backward {
  const T *x, *dy;
  template <int N>
  struct Read {
    Vector<T, N> x, dy;
  };
  template <int N>
  __device__ __forceinline__ Read<N> read(int64_t i) const {
    return {load<N>(x + i), load<N>(dy + i)};
  }
  template <int N>
  __device__ __forceinline__ static Floats<N> result(const Read<N>& in, const Line<N>& line) {
    const Floats<N> v = widen(in.x);
    Floats<N> d = widen(in.dy);
    KINTSUGI_UNROLL
    for (int e = 0; e < N; ++e) {
      const float rest = line.slope.at[e] * (v.at[e] - line.center.at[e]) + line.shift.at[e];
      d.at[e] = line.scale.at[e] * d.at[e] + rest;
    }
    return d;
  }
};

// Threads for a sum of n, and blocks for `rows` of them.
struct Finish {
  int lanes, threads;
  unsigned blocks;
  Finish(int64_t rows, int64_t n)
      : lanes(n > 256 ? 128 : 32), threads(128), blocks(blocks_for(rows, threads / lanes)) {}
};

struct Numbers {
  Tensor memory;
  Lines lines;
  Numbers(const Planes& p, const Tensor& x)
      : memory(Tensor::empty({4, p.images * p.channels}, DType::kF32, x.device())),
        lines{pointer<float>(memory), p.images * p.channels} {}
};

bool norm(const char* op, const Tensor& x, int64_t groups, const Statistics& s, const Tensor& y) {
  return visit_storage(x, [&](auto zero) {
    using T = decltype(zero);
    if (x.numel() == 0) return;
    const T* src = pointer<T>(x);
    T* dst = pointer<T>(y);
    const auto run = [&](auto width) {
      constexpr int kN = decltype(width)::value;
      const Planes p(x, groups, kN);
      const Tensor partial = p.partial(x);
      const Numbers numbers(p, x);
      run_sums<kN>(op, p, Moments<T>{src}, partial);
      const Finish finish(p.groups(), p.width * p.parts);
      launch(op, finish_moments, finish.blocks, finish.threads, Rows::kScratch, p, finish.lanes, s,
             reinterpret_cast<double2*>(pointer<double>(partial)), numbers.lines);
      run_map<kN>(op, p, Forward<T>{src}, numbers.lines, dst);
    };
    visit_width<T>(run, x.size(-1), src, dst);
  });
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
  return visit_storage(x, [&](auto none) {
    using T = decltype(none);
    if (x.numel() == 0) {
      zero(dweight);
      zero(dbias);
      return;
    }
    const T *src = pointer<T>(x), *grad = pointer<T>(dy);
    T* dst = pointer<T>(dx);
    const auto run = [&](auto width) {
      constexpr int kN = decltype(width)::value;
      const Planes p(x, groups, kN);
      const Tensor partial = p.partial(x);
      const Numbers numbers(p, x);
      run_sums<kN>(op, p, Products<T>{src, grad, pointer<float>(mean)}, partial);
      const Finish finish(p.groups(), p.width * p.parts);
      const bool channelwise = p.images == 1 && p.width == 1;
      launch(op, finish_products, finish.blocks, finish.threads, Rows::kScratch, p, finish.lanes,
             pointer<float>(weight), pointer<float>(mean), pointer<float>(rstd),
             reinterpret_cast<double2*>(pointer<double>(partial)), numbers.lines,
             channelwise ? pointer<float>(dweight) : nullptr,
             channelwise ? pointer<float>(dbias) : nullptr);
      if (!channelwise && (dweight.defined() || dbias.defined())) {
        run_parameter_grads(op, p, Rstd{pointer<float>(rstd), nullptr, 0}, partial, dweight, dbias);
      }
      run_map<kN>(op, p, Backward<T>{src, grad}, numbers.lines, dst);
    };
    visit_width<T>(run, x.size(-1), src, grad, dst);
  });
}

}  // namespace

bool batch_norm_train(const Tensor& x, const Tensor& weight, const Tensor& bias,
                      const Tensor& running_mean, const Tensor& running_var, double momentum,
                      double epsilon, const Tensor& y, const Tensor& mean, const Tensor& rstd) {
  return norm("batch_norm_train", x, x.size(1),
              Statistics{pointer<float>(weight), pointer<float>(bias), pointer<float>(mean),
                         pointer<float>(rstd), pointer<float>(running_mean),
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
  const Given given{pointer<float>(mean), pointer<float>(variance), pointer<float>(weight),
                    pointer<float>(bias), float(epsilon)};
  return visit_storage(x, [&](auto zero) {
    using T = decltype(zero);
    if (x.numel() == 0) return;
    const T* src = pointer<T>(x);
    T* dst = pointer<T>(y);
    const auto run = [&](auto width) {
      constexpr int kN = decltype(width)::value;
      run_map<kN>("batch_norm_eval", Planes(x, x.size(1), kN), Forward<T>{src}, given, dst);
    };
    visit_width<T>(run, x.size(1), src, dst, given.mean, given.variance, given.weight, given.bias);
  });
}

bool batch_norm_eval_backward(const Tensor& x, const Tensor& weight, const Tensor& mean,
                              const Tensor& variance, double epsilon, const Tensor& dy,
                              const Tensor& dx, const Tensor& dweight, const Tensor& dbias) {
  constexpr const char* kOp = "batch_norm_eval_backward";
  const Given given{nullptr, pointer<float>(variance), pointer<float>(weight), nullptr,
                    float(epsilon)};
  return visit_storage(x, [&](auto none) {
    using T = decltype(none);
    if (x.numel() == 0) {
      zero(dweight);
      zero(dbias);
      return;
    }
    const T *src = pointer<T>(x), *grad = pointer<T>(dy);
    T* dst = pointer<T>(dx);
    const auto run = [&](auto width) {
      constexpr int kN = decltype(width)::value;
      const Planes p(x, x.size(1), kN);
      if (dweight.defined() || dbias.defined()) {
        const Tensor partial = p.partial(x);
        run_sums<kN>(kOp, p, Products<T>{src, grad, pointer<float>(mean)}, partial);
        run_parameter_grads(kOp, p, Rstd{nullptr, given.variance, epsilon}, partial, dweight,
                            dbias);
      }
      run_map<kN>(kOp, p, Forward<T>{grad}, given, dst);
    };
    visit_width<T>(run, x.size(1), src, grad, dst, given.variance, given.weight);
  });
}

bool group_norm(const Tensor& x, int64_t groups, const Tensor& weight, const Tensor& bias,
                double epsilon, const Tensor& y, const Tensor& mean, const Tensor& rstd) {
  return norm("group_norm", x, groups,
              Statistics{pointer<float>(weight), pointer<float>(bias), pointer<float>(mean),
                         pointer<float>(rstd), nullptr, nullptr, 0, epsilon},
              y);
}

bool group_norm_backward(const Tensor& x, int64_t groups, const Tensor& weight, const Tensor& mean,
                         const Tensor& rstd, const Tensor& dy, const Tensor& dx,
                         const Tensor& dweight, const Tensor& dbias) {
  return norm_backward("group_norm_backward", x, groups, weight, mean, rstd, dy, dx, dweight,
                       dbias);
}

}  // namespace kintsugi::cuda
