#include "kintsugi/engine/cpu/simd/elementwise.h"

#include "kintsugi/engine/cpu/simd/lanes.h"
#include "kintsugi/engine/cpu/simd/vec.h"

namespace kintsugi::cpu::KINTSUGI_ISA {

namespace {

struct Numbers {
  Vec p, q;
};

Vec clamped(Vec x, float low, float high) {
  return select(x < low, splat(low), select(x > high, splat(high), x));
}

Vec sqrt(Vec x) {
  for (int i = 0; i < kLanes; ++i) x[i] = __builtin_sqrtf(x[i]);
  return x;
}

// Stable on both sides: e^-|x| never overflows.
Vec sigmoid(Vec x) {
  const Vec e = exp(select(x < 0.0f, x, -x));
  const Vec r = 1.0f / (1.0f + e);
  return select(x < 0.0f, e * r, r);
}

// The normal distribution and e^(-x^2/2), by erfc's rational form (Abramowitz & Stegun 7.1.26,
// absolute error 1.5e-7): the lower tail is taken directly, so nothing cancels there.
struct Normal {
  Vec cdf, bell;
};
Normal normal(Vec x) {
  const Vec z = select(x < 0.0f, -x, x) * 0.707106781f;
  const Vec t = 1.0f / (1.0f + 0.3275911f * z);
  Vec p = splat(1.061405429f);
  p = p * t - 1.453152027f;
  p = p * t + 1.421413741f;
  p = p * t - 0.284496736f;
  p = p * t + 0.254829592f;
  const Vec bell = exp(-z * z);
  const Vec tail = 0.5f * p * t * bell;
  return {select(x < 0.0f, tail, 1.0f - tail), bell};
}

constexpr float kRootTwoOverPi = 0.797884561f;
constexpr float kCubic = 0.044715f;

#define FORWARD static Vec forward([[maybe_unused]] Vec x, [[maybe_unused]] const Numbers& n)
#define SLOPE                                                      \
  static Vec slope([[maybe_unused]] Vec x, [[maybe_unused]] Vec y, \
                   [[maybe_unused]] const Numbers& n)
struct Neg {
  FORWARD { return -x; }
  SLOPE { return splat(-1); }
};
struct Abs {
  FORWARD { return (Vec)((VecInt)x & 0x7fffffff); }
  SLOPE { return select(x > 0.0f, splat(1), select(x < 0.0f, splat(-1), x)); }
};
struct Exp {
  FORWARD { return exp(x); }
  SLOPE { return y; }
};
struct Log {
  FORWARD {
    for (int i = 0; i < kLanes; ++i) x[i] = __builtin_logf(x[i]);
    return x;
  }
  SLOPE { return 1.0f / x; }
};
struct Sqrt {
  FORWARD { return sqrt(x); }
  SLOPE { return 0.5f / y; }
};
struct Rsqrt {
  FORWARD { return 1.0f / sqrt(x); }
  SLOPE { return -0.5f * y * y * y; }
};
struct Square {
  FORWARD { return x * x; }
  SLOPE { return x + x; }
};
struct Reciprocal {
  FORWARD { return 1.0f / x; }
  SLOPE { return -y * y; }
};
struct Relu {
  FORWARD { return select(x < 0.0f, Vec{}, x); }
  SLOPE { return select(x > 0.0f, splat(1), Vec{}); }
};
struct Gelu {
  FORWARD { return x * normal(x).cdf; }
  SLOPE {
    const Normal at = normal(x);
    return at.cdf + x * at.bell * 0.398942280f;
  }
};
struct GeluTanh {
  static Vec inner(Vec x) { return kRootTwoOverPi * (x + kCubic * x * x * x); }
  FORWARD { return 0.5f * x * (1.0f + tanh(inner(x))); }
  SLOPE {
    const Vec t = tanh(inner(x));
    const Vec d = kRootTwoOverPi * (1.0f + 3.0f * kCubic * x * x);
    return 0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * d;
  }
};
struct Silu {
  FORWARD { return x * sigmoid(x); }
  SLOPE {
    const Vec s = sigmoid(x);
    return s * (1.0f + x * (1.0f - s));
  }
};
struct Hardswish {
  FORWARD { return x * clamped(x + 3.0f, 0, 6) * (1.0f / 6); }
  SLOPE { return select(x <= -3.0f, Vec{}, select(x < 3.0f, x * (1.0f / 3) + 0.5f, splat(1))); }
};
struct Hardsigmoid {
  FORWARD { return clamped(x + 3.0f, 0, 6) * (1.0f / 6); }
  SLOPE { return select((x > -3.0f) & (x < 3.0f), splat(1.0f / 6), Vec{}); }
};
struct Sigmoid {
  FORWARD { return sigmoid(x); }
  SLOPE { return y * (1.0f - y); }
};
struct Tanh {
  FORWARD { return tanh(x); }
  SLOPE { return 1.0f - y * y; }
};
struct Relu6 {
  FORWARD { return clamped(x, 0, 6); }
  SLOPE { return select((x > 0.0f) & (x < 6.0f), splat(1), Vec{}); }
};
struct LeakyRelu {
  FORWARD { return select(x < 0.0f, n.p * x, x); }
  SLOPE { return select(x > 0.0f, splat(1), n.p); }
};
struct Pow {
  static Vec power(Vec x, float p) {
    if (p == 2) return x * x;
    if (p == 3) return x * x * x;
    for (int i = 0; i < kLanes; ++i) x[i] = __builtin_powf(x[i], p);
    return x;
  }
  FORWARD { return power(x, n.p[0]); }
  SLOPE { return n.p[0] == 0 ? Vec{} : n.p * power(x, n.p[0] - 1); }
};
struct Clamp {
  FORWARD { return select(x < n.p, n.p, select(x > n.q, n.q, x)); }
  SLOPE { return select((x >= n.p) & (x <= n.q), splat(1), Vec{}); }
};
struct Affine {
  FORWARD { return n.p * x + n.q; }
  SLOPE { return n.p; }
};
struct StarRelu {
  FORWARD {
    const Vec r = select(x < 0.0f, Vec{}, x);
    return n.p * (r * r) + n.q;
  }
  SLOPE { return 2.0f * n.p * select(x < 0.0f, Vec{}, x); }
};
#undef FORWARD
#undef SLOPE

template <class F>
void forward(int64_t n, const float* x, float* y, float p, float q) {
  const Numbers numbers{splat(p), splat(q)};
  each_vector(n, [&](const auto& lanes, int64_t i) {
    lanes.put(y + i, F::forward(lanes.get(x + i), numbers));
  });
}

template <class F>
void backward(int64_t n, const float* x, const float* y, const float* dy, float* dx, float p,
              float q) {
  const Numbers numbers{splat(p), splat(q)};
  each_vector(n, [&](const auto& lanes, int64_t i) {
    const Vec slope = F::slope(lanes.get(x + i), lanes.get(y + i), numbers);
    lanes.put(dx + i, lanes.get(dy + i) * slope);
  });
}

// Sums in f32 over short blocks only.
void star_relu_backward(int64_t n, const float* x, const float* dy, float* dx, float scale,
                        double* dscale, double* dbias) {
  constexpr int64_t kBlock = 64 * kLanes;
  for (int64_t start = 0; start < n; start += kBlock) {
    Vec squares{}, sums{};
    each_vector(start, start + kBlock < n ? start + kBlock : n, [&](const auto& lanes, int64_t i) {
      const Vec in = lanes.get(x + i), grad = lanes.get(dy + i);
      const Vec r = select(in < 0.0f, Vec{}, in);
      const Vec slope = grad * r;
      lanes.put(dx + i, 2.0f * scale * slope);
      squares += slope * r;
      sums += grad;
    });
    *dscale += lane_sum(squares);
    *dbias += lane_sum(sums);
  }
}

struct Add {
  static Vec of(Vec a, Vec b) { return a + b; }
};
struct Sub {
  static Vec of(Vec a, Vec b) { return a - b; }
};
struct Mul {
  static Vec of(Vec a, Vec b) { return a * b; }
};
struct Div {
  static Vec of(Vec a, Vec b) { return a / b; }
};
struct Maximum {
  static Vec of(Vec a, Vec b) { return select((a > b) | (a != a), a, b); }
};
struct Minimum {
  static Vec of(Vec a, Vec b) { return select((a < b) | (a != a), a, b); }
};

// kNumber: 0 neither operand is one number a row, 1 a is, 2 b is.
template <class F, int kNumber>
void binary(int64_t rows, int64_t n, const float* a, int64_t a_row, const float* b, int64_t b_row,
            float* y, int64_t y_row) {
  for (int64_t r = 0; r < rows; ++r, a += a_row, b += b_row, y += y_row) {
    const Vec number = splat(kNumber == 1 ? *a : kNumber == 2 ? *b : 0);
    each_vector(n, [&](const auto& lanes, int64_t i) {
      lanes.put(y + i, F::of(kNumber == 1 ? number : lanes.get(a + i),
                             kNumber == 2 ? number : lanes.get(b + i)));
    });
  }
}

}  // namespace

#define EACH(fn)                                                                                   \
  {                                                                                                \
    fn<Neg>, fn<Abs>, fn<Exp>, fn<Log>, fn<Sqrt>, fn<Rsqrt>, fn<Square>, fn<Reciprocal>, fn<Relu>, \
        fn<Gelu>, fn<GeluTanh>, fn<Silu>, fn<Hardswish>, fn<Hardsigmoid>, fn<Sigmoid>, fn<Tanh>,   \
        fn<Relu6>, fn<LeakyRelu>, fn<Pow>, fn<Clamp>, fn<Affine>, fn<StarRelu>                     \
  }
#define ROWS(F) \
  { binary<F, 0>, binary<F, 1>, binary<F, 2> }
extern const ElementwiseKernels elementwise_kernels_table = {
    EACH(forward),
    EACH(backward),
    {ROWS(Add), ROWS(Sub), ROWS(Mul), ROWS(Div), ROWS(Maximum), ROWS(Minimum)},
    star_relu_backward};

}  // namespace kintsugi::cpu::KINTSUGI_ISA
