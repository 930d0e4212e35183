#include "kintsugi/engine/cuda/elementwise.h"

#include <cmath>

#include "kintsugi/engine/cuda/block.h"
#include "kintsugi/engine/cuda/vector.h"
#include "kintsugi/engine/cuda/walk.h"
#include "kintsugi/engine/ops/order.h"

namespace kintsugi::cuda {

namespace {

using ops::Binary;
using ops::Compare;
using ops::Unary;

// The functions with numbers p and q, after those of ops::Unary, and a plain copy.
enum Function : int {
  kLeakyRelu = int(Unary::kRelu6) + 1,
  kPow,
  kClamp,
  kAffine,
  kCopy,
  kFunctions
};

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

// A function as a constant: a kernel has a loop for each and chooses once.
template <template <int> class Of, int... kAll, class Loop, class... Numbers>
__device__ __forceinline__ void choose(int function, std::integer_sequence<int, kAll...>,
                                       const Loop& loop, Numbers... numbers) {
  ((function == kAll ? loop(Of<kAll>{numbers...}) : void()), ...);
}

template <int kFunction>
struct ForwardOf {
  float p, q;
  __device__ __forceinline__ float operator()(const float (&in)[1]) const {
    const float x = in[0];
    switch (kFunction) {
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
      case kAffine:
        return p * x + q;
      default:  // kCopy
        return x;
    }
  }
};
struct Forward {
  int function;
  float p, q;
  template <class Loop>
  __device__ __forceinline__ void visit(const Loop& loop) const {
    choose<ForwardOf>(function, std::make_integer_sequence<int, kFunctions>(), loop, p, q);
  }
};

// From x, the forward's result y, and dy.
template <int kFunction>
struct BackwardOf {
  float p, q;
  __device__ __forceinline__ float operator()(const float (&in)[3]) const {
    const float x = in[0], y = in[1], dy = in[2];
    switch (kFunction) {
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
struct Backward {
  int function;
  float p, q;
  template <class Loop>
  __device__ __forceinline__ void visit(const Loop& loop) const {
    choose<BackwardOf>(function, std::make_integer_sequence<int, kClamp + 1>(), loop, p, q);
  }
};

// Operands are f32 or bf16 each.
template <int N>
struct Operands {
  const void* at[N];
  bool bf16[N];

  explicit Operands(const std::array<const Tensor*, N>& xs) {
    for (size_t k = 0; k < N; ++k) {
      at[k] = xs[k]->address();
      bf16[k] = xs[k]->dtype() == DType::kBF16;
    }
  }

  // W neighbours of operand k, or one repeated.
  template <int W>
  __device__ __forceinline__ Floats<W> get(int k, int64_t offset, int64_t step) const {
    if (bf16[k]) return read_or_repeat<W>(static_cast<const BFloat16*>(at[k]) + offset, step);
    return read_or_repeat<W>(static_cast<const float*>(at[k]) + offset, step);
  }
};

template <class T, int W, int N, class F>
__global__ void map_kernel(Walk<N + 1> walk, Operands<N> in, T* y, F functions) {
  functions.visit([&](const auto& f) {
    for (int64_t i = grid_first(); i < walk.total / W; i += grid_step()) {
      int64_t at[N + 1];
      walk.at(i * W, at);
      Floats<W> x[N], out;
      KINTSUGI_UNROLL
      for (int k = 0; k < N; ++k) {
        x[k] = in.template get<W>(k, at[k + 1], walk.stride[k + 1][walk.rank - 1]);
      }
      KINTSUGI_UNROLL
      for (int e = 0; e < W; ++e) {
        float v[N];
        KINTSUGI_UNROLL
        for (int k = 0; k < N; ++k) v[k] = x[k].at[e];
        out.at[e] = f(v);
      }
      write(y + at[0], out);
    }
  });
}

template <int N, class F>
bool map(const char* op, const Tensor& y, const std::array<const Tensor*, N>& xs, const F& f) {
  std::array<const Tensor*, N + 1> all{&y};
  for (size_t k = 0; k < N; ++k) {
    if (xs[k]->dtype() != DType::kF32 && xs[k]->dtype() != DType::kBF16) return false;
    all[k + 1] = xs[k];
  }
  if (y.numel() == 0) return true;
  const Walk<N + 1> walk(all);
  const Operands<N> in(xs);
  return visit_storage(y, [&](auto zero) {
    using T = decltype(zero);
    bool aligned = walk.in_groups(kLanesOf<T>) && are_aligned(y.address());
    for (int k = 0; k < N; ++k) {
      aligned &= walk.stride[k + 1][walk.rank - 1] == 0 || are_aligned(in.at[k]);
    }
    const auto run = [&](auto width) {
      constexpr int kWidth = decltype(width)::value;
      launch(op, map_kernel<T, kWidth, N, F>, blocks_for(walk.total / kWidth), kThreads, 0, walk,
             in, pointer<T>(y), f);
    };
    if (aligned)
      run(std::integral_constant<int, kLanesOf<T>>());
    else
      run(std::integral_constant<int, 1>());
  });
}

bool forward(const char* op, int function, const Tensor& x, const Tensor& y, double p = 0,
             double q = 0) {
  return map<1>(op, y, {&x}, Forward{function, float(p), float(q)});
}
bool backward(const char* op, int function, const Tensor& x, const Tensor& y, const Tensor& dy,
              const Tensor& dx, double p = 0, double q = 0) {
  return map<3>(op, dx, {&x, &y, &dy}, Backward{function, float(p), float(q)});
}

template <int kOp>
struct PairOf {
  __device__ __forceinline__ float operator()(const float (&in)[2]) const {
    const float a = in[0], b = in[1];
    switch (Binary(kOp)) {
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
struct Pair {
  Binary op;
  template <class Loop>
  __device__ __forceinline__ void visit(const Loop& loop) const {
    choose<PairOf>(int(op), std::make_integer_sequence<int, int(Binary::kMinimum) + 1>(), loop);
  }
};

struct StarRelu {
  template <class Loop>
  __device__ __forceinline__ void visit(const Loop& loop) const {
    loop(*this);
  }
  __device__ __forceinline__ float operator()(const float (&in)[3]) const {
    const float r = in[0] < 0 ? 0 : in[0];
    return in[1] * r * r + in[2];
  }
};

constexpr int kStarBlocks = 256;

// Each block's share of the two sums, and dx on the way; x, dy and dx lie in one order.
template <class T, int W>
__global__ void star_relu_backward_kernel(int64_t groups, const T* x, const float* scale,
                                          const T* dy, T* dx, float* partial) {
  float* shared = dynamic_shared<float>();
  float dscale = 0, dbias = 0;
  const float twice = 2 * *scale;
  for (int64_t i = grid_first(); i < groups; i += grid_step()) {
    const Floats<W> v = read<W>(x + i * W), d = read<W>(dy + i * W);
    Floats<W> out;
    KINTSUGI_UNROLL
    for (int e = 0; e < W; ++e) {
      const float r = v.at[e] < 0 ? 0 : v.at[e];
      dscale += d.at[e] * r * r;
      dbias += d.at[e];
      out.at[e] = d.at[e] * twice * r;
    }
    write(dx + i * W, out);
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

template <class T>
__global__ void where_kernel(Walk<4> walk, const bool* condition, Operands<2> in, T* y) {
  for (int64_t i = grid_first(); i < walk.total; i += grid_step()) {
    int64_t at[4];
    walk.at(i, at);
    const int taken = condition[at[1]] ? 0 : 1;
    y[at[0]] = narrow<T>(in.get<1>(taken, taken ? at[3] : at[2], 1).at[0]);
  }
}

struct Integers {
  const int64_t* at[2];
  __device__ __forceinline__ int64_t operator()(int k, int64_t i) const { return at[k][i]; }
};
struct Numbers {
  Operands<2> in;
  __device__ __forceinline__ float operator()(int k, int64_t i) const {
    return in.get<1>(k, i, 1).at[0];
  }
};

template <class Values>
__global__ void compare_kernel(Walk<3> walk, Compare op, Values in, bool* y) {
  for (int64_t i = grid_first(); i < walk.total; i += grid_step()) {
    int64_t at[3];
    walk.at(i, at);
    const auto p = in(0, at[1]), q = in(1, at[2]);
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
bool convert(const Tensor& x, const Tensor& y) {
  return forward("cast", kCopy, x, y);
}
bool affine(const Tensor& x, double scale, double shift, Tensor& y) {
  return forward("affine", kAffine, x, y, scale, shift);
}

bool star_relu(const Tensor& x, const Tensor& scale, const Tensor& bias, Tensor& y) {
  return map<3>("star_relu", y, {&x, &scale, &bias}, StarRelu{});
}

bool star_relu_backward(const Tensor& x, const Tensor& scale, const Tensor& dy,
                        ops::StarReluGrads& grads) {
  const Tensor src = detail::in_order_of(grads.dx, x), diff = detail::in_order_of(grads.dx, dy);
  return visit_storage(x, [&](auto zero) {
    using T = decltype(zero);
    const T *from = pointer<T>(src), *grad = pointer<T>(diff);
    T* to = pointer<T>(grads.dx);
    visit_width<T>(
        [&](auto width) {
          constexpr int kWidth = decltype(width)::value;
          const int64_t groups = x.numel() / kWidth;
          const unsigned blocks = std::min<unsigned>(blocks_for(groups), kStarBlocks);
          const Tensor partial = Tensor::empty({2, int64_t(blocks)}, DType::kF32, x.device());
          launch("star_relu_backward", star_relu_backward_kernel<T, kWidth>, blocks, kThreads,
                 32 * sizeof(float), groups, from, pointer<float>(scale), grad, to,
                 pointer<float>(partial));
          launch("star_relu_backward", star_relu_sums, 1, kThreads, 32 * sizeof(float), int(blocks),
                 pointer<float>(partial), pointer<float>(grads.dscale),
                 pointer<float>(grads.dbias));
        },
        x.numel(), from, grad, to);
  });
}

bool binary(Binary op, const Tensor& a, const Tensor& b, Tensor& y) {
  return map<2>(name_of(op), y, {&a, &b}, Pair{op});
}

bool where(const Tensor& condition, const Tensor& a, const Tensor& b, Tensor& y) {
  if (y.numel() == 0) return true;
  return visit_storage(y, [&](auto zero) {
    using T = decltype(zero);
    const Walk<4> walk({&y, &condition, &a, &b});
    launch("where", where_kernel<T>, blocks_for(walk.total), kThreads, 0, walk,
           pointer<bool>(condition), Operands<2>({&a, &b}), pointer<T>(y));
  });
}

bool compare(Compare op, const Tensor& a, const Tensor& b, Tensor& y) {
  if (a.dtype() == DType::kF64) return false;
  if (y.numel() == 0) return true;
  const Walk<3> walk({&y, &a, &b});
  const auto run = [&](const auto& in) {
    launch("compare", compare_kernel<std::decay_t<decltype(in)>>, blocks_for(walk.total), kThreads,
           0, walk, op, in, pointer<bool>(y));
  };
  if (a.dtype() == DType::kI64)
    run(Integers{{pointer<int64_t>(a), pointer<int64_t>(b)}});
  else
    run(Numbers{Operands<2>({&a, &b})});
  return true;
}

}  // namespace kintsugi::cuda
