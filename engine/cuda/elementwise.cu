#include "kintsugi/engine/cuda/elementwise.h"

#include <cmath>

#include "kintsugi/engine/cuda/block.h"
#include "kintsugi/engine/cuda/walk.h"
#include "kintsugi/engine/ops/order.h"

namespace kintsugi::cuda {

namespace {

using ops::Binary;
using ops::Compare;
using ops::Unary;

// The functions with numbers p and q, after those of ops::Unary.
enum Function : int { kLeakyRelu = int(Unary::kRelu6) + 1, kPow, kClamp, kAffine };

constexpr float kSqrtHalf = 0.70710678118654752f, kInvSqrtTwoPi = 0.39894228040143268f;
constexpr float kSqrtTwoOverPi = 0.79788456080286536f;

__device__ __forceinline__ float sigmoid(float x) {
  return 1 / (1 + expf(-x));
}
__device__ __forceinline__ float gelu_inner(float x) {
  return kSqrtTwoOverPi * (x + 0.044715f * x * x * x);
}
__device__ __forceinline__ float normal_cdf(float x) {
  return 0.5f * erfcf(-x * kSqrtHalf);
}
// NaN passes.
__device__ __forceinline__ float clamped(float x, float low, float high) {
  return x < low ? low : x > high ? high : x;
}

// A branch on `function` is the same for all threads: nothing beside a read of memory.
struct Forward {
  int function;
  float p, q;
  __device__ __forceinline__ float operator()(const float (&in)[1]) const {
    const float x = in[0];
    switch (function) {
      case int(Unary::kNeg):
        return -x;
      case int(Unary::kAbs):
        return fabsf(x);
      case int(Unary::kExp):
        return expf(x);
      case int(Unary::kLog):
        return logf(x);
      case int(Unary::kSqrt):
        return sqrtf(x);
      case int(Unary::kRsqrt):
        return 1 / sqrtf(x);
      case int(Unary::kSquare):
        return x * x;
      case int(Unary::kReciprocal):
        return 1 / x;
      case int(Unary::kRelu):
        return x < 0 ? 0 : x;
      case int(Unary::kGelu):
        return x * normal_cdf(x);
      case int(Unary::kGeluTanh):
        return 0.5f * x * (1 + tanhf(gelu_inner(x)));
      case int(Unary::kSilu):
        return x * sigmoid(x);
      case int(Unary::kHardswish):
        return x * clamped(x + 3, 0, 6) / 6;
      case int(Unary::kHardsigmoid):
        return clamped(x + 3, 0, 6) / 6;
      case int(Unary::kSigmoid):
        return sigmoid(x);
      case int(Unary::kTanh):
        return tanhf(x);
      case int(Unary::kRelu6):
        return clamped(x, 0, 6);
      case kLeakyRelu:
        return x < 0 ? p * x : x;
      case kPow:
        return powf(x, p);
      case kClamp:
        return clamped(x, p, q);
      default:  // kAffine
        return p * x + q;
    }
  }
};

// From x, the forward's result y, and dy.
struct Backward {
  int function;
  float p, q;
  __device__ __forceinline__ float operator()(const float (&in)[3]) const {
    const float x = in[0], y = in[1], dy = in[2];
    switch (function) {
      case int(Unary::kNeg):
        return -dy;
      case int(Unary::kAbs):
        return dy * (x > 0 ? 1 : x < 0 ? -1 : x);
      case int(Unary::kExp):
        return dy * y;
      case int(Unary::kLog):
        return dy * (1 / x);
      case int(Unary::kSqrt):
        return dy * (1 / (2 * y));
      case int(Unary::kRsqrt):
        return dy * (-y * y * y / 2);
      case int(Unary::kSquare):
        return dy * (2 * x);
      case int(Unary::kReciprocal):
        return dy * (-y * y);
      case int(Unary::kRelu):
        return dy * (x > 0 ? 1 : 0);
      case int(Unary::kGelu):
        return dy * (normal_cdf(x) + x * expf(-x * x / 2) * kInvSqrtTwoPi);
      case int(Unary::kGeluTanh): {
        const float t = tanhf(gelu_inner(x));
        const float slope = kSqrtTwoOverPi * (1 + 3 * 0.044715f * x * x);
        return dy * (0.5f * (1 + t) + 0.5f * x * (1 - t * t) * slope);
      }
      case int(Unary::kSilu): {
        const float s = sigmoid(x);
        return dy * (s * (1 + x * (1 - s)));
      }
      case int(Unary::kHardswish):
        return dy * (x <= -3 ? 0 : x < 3 ? x / 3 + 0.5f : 1);
      case int(Unary::kHardsigmoid):
        return dy * (x > -3 && x < 3 ? 1.0f / 6 : 0);
      case int(Unary::kSigmoid):
        return dy * (y * (1 - y));
      case int(Unary::kTanh):
        return dy * (1 - y * y);
      case int(Unary::kRelu6):
        return dy * (x > 0 && x < 6 ? 1 : 0);
      case kLeakyRelu:
        return x > 0 ? dy : p * dy;
      case kPow:
        return p == 0 ? 0 : dy * p * powf(x, p - 1);
      default:  // kClamp
        return x >= p && x <= q ? dy : 0;
    }
  }
};

template <int N>
struct Inputs {
  const float* of[N];
};

// Four elements a step, in registers of 16 bytes; pointers are aligned to them.
template <int N, class F>
__global__ void map_flat(int64_t n, Inputs<N> in, float* y, F f) {
  for (int64_t i = grid_first(); i < n / 4; i += grid_step()) {
    float4 x[N];
    for (int k = 0; k < N; ++k) x[k] = reinterpret_cast<const float4*>(in.of[k])[i];
    float4 out;
    float v[N];
    for (int k = 0; k < N; ++k) v[k] = x[k].x;
    out.x = f(v);
    for (int k = 0; k < N; ++k) v[k] = x[k].y;
    out.y = f(v);
    for (int k = 0; k < N; ++k) v[k] = x[k].z;
    out.z = f(v);
    for (int k = 0; k < N; ++k) v[k] = x[k].w;
    out.w = f(v);
    reinterpret_cast<float4*>(y)[i] = out;
  }
  const int64_t i = n / 4 * 4 + grid_first();
  if (i < n) {
    float v[N];
    for (int k = 0; k < N; ++k) v[k] = in.of[k][i];
    y[i] = f(v);
  }
}

template <int N, class F>
__global__ void map_walk(Walk<N + 1> walk, Inputs<N> in, float* y, F f) {
  for (int64_t i = grid_first(); i < walk.total; i += grid_step()) {
    int64_t at[N + 1];
    walk.at(i, at);
    float v[N];
    for (int k = 0; k < N; ++k) v[k] = in.of[k][at[k + 1]];
    y[at[0]] = f(v);
  }
}

template <int N, class F>
bool map(const char* op, const Tensor& y, const std::array<const Tensor*, N>& xs, const F& f) {
  if (y.dtype() != DType::kF32) return false;
  if (y.numel() == 0) return true;
  std::array<const Tensor*, N + 1> all{&y};
  Inputs<N> in;
  bool aligned = reinterpret_cast<uintptr_t>(y.address()) % 16 == 0;
  for (int k = 0; k < N; ++k) {
    all[size_t(k) + 1] = xs[size_t(k)];
    in.of[k] = pointer<float>(*xs[size_t(k)]);
    aligned = aligned && reinterpret_cast<uintptr_t>(in.of[k]) % 16 == 0;
  }
  const Walk<N + 1> walk(all);
  if (walk.is_flat() && aligned) {
    launch(op, map_flat<N, F>, blocks_for(walk.total, 4 * kThreads), kThreads, 0, walk.total, in,
           pointer<float>(y), f);
  } else {
    launch(op, map_walk<N, F>, blocks_for(walk.total), kThreads, 0, walk, in, pointer<float>(y), f);
  }
  return true;
}

bool forward(const char* op, int function, const Tensor& x, const Tensor& y, double p = 0,
             double q = 0) {
  return map<1>(op, y, {&x}, Forward{function, float(p), float(q)});
}
bool backward(const char* op, int function, const Tensor& x, const Tensor& y, const Tensor& dy,
              const Tensor& dx, double p = 0, double q = 0) {
  return map<3>(op, dx, {&x, &y, &dy}, Backward{function, float(p), float(q)});
}

struct Pair {
  Binary op;
  __device__ __forceinline__ float operator()(const float (&in)[2]) const {
    const float a = in[0], b = in[1];
    switch (op) {
      case Binary::kAdd:
        return a + b;
      case Binary::kSub:
        return a - b;
      case Binary::kMul:
        return a * b;
      case Binary::kDiv:
        return a / b;
      case Binary::kMaximum:
        return a > b || a != a ? a : b;
      default:  // kMinimum
        return a < b || a != a ? a : b;
    }
  }
};

struct StarRelu {
  __device__ __forceinline__ float operator()(const float (&in)[3]) const {
    const float r = in[0] < 0 ? 0 : in[0];
    return in[1] * r * r + in[2];
  }
};

constexpr int kStarBlocks = 256;

// Each block's share of the two sums, and dx on the way; x, dy and dx lie in one order.
__global__ void star_relu_backward_kernel(int64_t n, const float* x, const float* scale,
                                          const float* dy, float* dx, float* partial) {
  float* shared = dynamic_shared<float>();
  float dscale = 0, dbias = 0;
  for (int64_t i = grid_first(); i < n; i += grid_step()) {
    const float r = x[i] < 0 ? 0 : x[i], d = dy[i];
    dscale += d * r * r;
    dbias += d;
    dx[i] = d * 2 * *scale * r;
  }
  dscale = block_sum(dscale, shared);
  dbias = block_sum(dbias, shared);
  if (threadIdx.x == 0) {
    partial[blockIdx.x] = dscale;
    partial[gridDim.x + blockIdx.x] = dbias;
  }
}

__global__ void star_relu_sums(int blocks, const float* partial, float* dscale, float* dbias) {
  float* shared = dynamic_shared<float>();
  float a = 0, b = 0;
  for (int i = int(threadIdx.x); i < blocks; i += int(blockDim.x)) {
    a += partial[i];
    b += partial[blocks + i];
  }
  a = block_sum(a, shared);
  b = block_sum(b, shared);
  if (threadIdx.x == 0) {
    *dscale = a;
    *dbias = b;
  }
}

__global__ void where_kernel(Walk<4> walk, const bool* condition, const float* a, const float* b,
                             float* y) {
  for (int64_t i = grid_first(); i < walk.total; i += grid_step()) {
    int64_t at[4];
    walk.at(i, at);
    y[at[0]] = condition[at[1]] ? a[at[2]] : b[at[3]];
  }
}

template <class T>
__global__ void compare_kernel(Walk<3> walk, Compare op, const T* a, const T* b, bool* y) {
  for (int64_t i = grid_first(); i < walk.total; i += grid_step()) {
    int64_t at[3];
    walk.at(i, at);
    const T p = a[at[1]], q = b[at[2]];
    bool holds = false;
    switch (op) {
      case Compare::kLess:
        holds = p < q;
        break;
      case Compare::kLessEqual:
        holds = p <= q;
        break;
      case Compare::kGreater:
        holds = p > q;
        break;
      case Compare::kGreaterEqual:
        holds = p >= q;
        break;
      case Compare::kEqual:
        holds = p == q;
        break;
      case Compare::kNotEqual:
        holds = p != q;
        break;
    }
    y[at[0]] = holds;
  }
}

}  // namespace

bool unary(Unary op, const Tensor& x, Tensor& y) {
  return forward(name_of(op), int(op), x, y);
}
bool unary_backward(Unary op, const Tensor& x, const Tensor& y, const Tensor& dy, Tensor& dx) {
  return backward(name_of(op), int(op), x, y, dy, dx);
}
bool leaky_relu(const Tensor& x, double slope, Tensor& y) {
  return forward("leaky_relu", kLeakyRelu, x, y, slope);
}
bool leaky_relu_backward(const Tensor& x, const Tensor& dy, double slope, Tensor& dx) {
  return backward("leaky_relu_backward", kLeakyRelu, x, x, dy, dx, slope);
}
bool pow(const Tensor& x, double exponent, Tensor& y) {
  return forward("pow", kPow, x, y, exponent);
}
bool pow_backward(const Tensor& x, const Tensor& dy, double exponent, Tensor& dx) {
  return backward("pow_backward", kPow, x, x, dy, dx, exponent);
}
bool clamp(const Tensor& x, double low, double high, Tensor& y) {
  return forward("clamp", kClamp, x, y, low, high);
}
bool clamp_backward(const Tensor& x, const Tensor& dy, double low, double high, Tensor& dx) {
  return backward("clamp_backward", kClamp, x, x, dy, dx, low, high);
}
bool affine(const Tensor& x, double scale, double shift, Tensor& y) {
  return forward("affine", kAffine, x, y, scale, shift);
}

bool star_relu(const Tensor& x, const Tensor& scale, const Tensor& bias, Tensor& y) {
  return map<3>("star_relu", y, {&x, &scale, &bias}, StarRelu{});
}

bool star_relu_backward(const Tensor& x, const Tensor& scale, const Tensor& dy,
                        ops::StarReluGrads& grads) {
  if (x.dtype() != DType::kF32) return false;
  const Tensor src = detail::in_order_of(grads.dx, x), diff = detail::in_order_of(grads.dx, dy);
  const unsigned blocks = std::min<unsigned>(blocks_for(x.numel()), kStarBlocks);
  const Tensor partial = Tensor::empty({2, int64_t(blocks)}, DType::kF32, x.device());
  launch("star_relu_backward", star_relu_backward_kernel, blocks, kThreads, 32 * sizeof(float),
         x.numel(), pointer<float>(src), pointer<float>(scale), pointer<float>(diff),
         pointer<float>(grads.dx), pointer<float>(partial));
  launch("star_relu_backward", star_relu_sums, 1, kThreads, 32 * sizeof(float), int(blocks),
         pointer<float>(partial), pointer<float>(grads.dscale), pointer<float>(grads.dbias));
  return true;
}

bool binary(Binary op, const Tensor& a, const Tensor& b, Tensor& y) {
  return map<2>(name_of(op), y, {&a, &b}, Pair{op});
}

bool where(const Tensor& condition, const Tensor& a, const Tensor& b, Tensor& y) {
  if (y.dtype() != DType::kF32) return false;
  if (y.numel() == 0) return true;
  const Walk<4> walk({&y, &condition, &a, &b});
  launch("where", where_kernel, blocks_for(walk.total), kThreads, 0, walk, pointer<bool>(condition),
         pointer<float>(a), pointer<float>(b), pointer<float>(y));
  return true;
}

bool compare(Compare op, const Tensor& a, const Tensor& b, Tensor& y) {
  if (a.dtype() == DType::kF64) return false;
  if (y.numel() == 0) return true;
  const Walk<3> walk({&y, &a, &b});
  const auto run = [&](auto zero) {
    using T = decltype(zero);
    launch("compare", compare_kernel<T>, blocks_for(walk.total), kThreads, 0, walk, op,
           pointer<T>(a), pointer<T>(b), pointer<bool>(y));
  };
  if (a.dtype() == DType::kI64)
    run(int64_t{});
  else
    run(float{});
  return true;
}

}  // namespace kintsugi::cuda
