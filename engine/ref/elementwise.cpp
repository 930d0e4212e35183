#include "kintsugi/engine/ref/elementwise.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "kintsugi/engine/ref/walk.h"

namespace kintsugi::ref {

namespace {

using ops::Binary;
using ops::Compare;
using ops::Unary;

template <class F>
void map(const char* op, const Tensor& x, Tensor& y, const F& f) {
  visit_floating(op, y.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const At<T> src(x), dst(y);
    for_each_index(y.shape(), [&](const Index& i) { dst(i) = f(src(i)); });
  });
}

template <class F>
void map(const char* op, const Tensor& a, const Tensor& b, Tensor& y, const F& f) {
  visit_floating(op, y.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const At<T> first(a, y.shape()), second(b, y.shape()), dst(y);
    for_each_index(y.shape(), [&](const Index& i) { dst(i) = f(first(i), second(i)); });
  });
}

template <class T>
T sigmoid(T x) {
  return 1 / (1 + std::exp(-x));
}

// tanh's argument in the approximate GELU, and its derivative.
template <class T>
T gelu_inner(T x) {
  return T(std::sqrt(2 / std::numbers::pi)) * (x + T(0.044715) * x * x * x);
}
template <class T>
T gelu_inner_slope(T x) {
  return T(std::sqrt(2 / std::numbers::pi)) * (1 + 3 * T(0.044715) * x * x);
}

template <class T>
T normal_cdf(T x) {
  return T(0.5) * std::erfc(-x / T(std::numbers::sqrt2));
}
template <class T>
T normal_density(T x) {
  return std::exp(-x * x / 2) / T(std::sqrt(2 * std::numbers::pi));
}

// std::clamp and std::max lose NaN in one of the two places; these keep it.
template <class T>
T clamped(T x, T low, T high) {
  return x < low ? low : x > high ? high : x;
}

template <class T>
T value_of(Unary op, T x) {
  switch (op) {
    case Unary::kNeg:
      return -x;
    case Unary::kAbs:
      return std::abs(x);
    case Unary::kExp:
      return std::exp(x);
    case Unary::kLog:
      return std::log(x);
    case Unary::kSqrt:
      return std::sqrt(x);
    case Unary::kRsqrt:
      return 1 / std::sqrt(x);
    case Unary::kSquare:
      return x * x;
    case Unary::kReciprocal:
      return 1 / x;
    case Unary::kRelu:
      return x < 0 ? T(0) : x;
    case Unary::kGelu:
      return x * normal_cdf(x);
    case Unary::kGeluTanh:
      return T(0.5) * x * (1 + std::tanh(gelu_inner(x)));
    case Unary::kSilu:
      return x * sigmoid(x);
    case Unary::kHardswish:
      return x * clamped(x + 3, T(0), T(6)) / 6;
    case Unary::kHardsigmoid:
      return clamped(x + 3, T(0), T(6)) / 6;
    case Unary::kSigmoid:
      return sigmoid(x);
    case Unary::kTanh:
      return std::tanh(x);
    case Unary::kRelu6:
      return clamped(x, T(0), T(6));
  }
  return x;
}

template <class T>
T slope_of(Unary op, T x, T y) {
  switch (op) {
    case Unary::kNeg:
      return -1;
    case Unary::kAbs:
      return x > 0 ? 1 : x < 0 ? -1 : x;  // 0 at 0, NaN at NaN
    case Unary::kExp:
      return y;
    case Unary::kLog:
      return 1 / x;
    case Unary::kSqrt:
      return 1 / (2 * y);
    case Unary::kRsqrt:
      return -y * y * y / 2;
    case Unary::kSquare:
      return 2 * x;
    case Unary::kReciprocal:
      return -y * y;
    case Unary::kRelu:
      return x > 0 ? 1 : 0;
    case Unary::kGelu:
      return normal_cdf(x) + x * normal_density(x);
    case Unary::kGeluTanh: {
      const T t = std::tanh(gelu_inner(x));
      return T(0.5) * (1 + t) + T(0.5) * x * (1 - t * t) * gelu_inner_slope(x);
    }
    case Unary::kSilu: {
      const T s = sigmoid(x);
      return s * (1 + x * (1 - s));
    }
    case Unary::kHardswish:
      return x <= -3 ? T(0) : x < 3 ? x / 3 + T(0.5) : T(1);
    case Unary::kHardsigmoid:
      return x > -3 && x < 3 ? T(1) / 6 : T(0);
    case Unary::kSigmoid:
      return y * (1 - y);
    case Unary::kTanh:
      return 1 - y * y;
    case Unary::kRelu6:
      return x > 0 && x < 6 ? 1 : 0;
  }
  return 0;
}

template <class T>
T value_of(Binary op, T a, T b) {
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
    case Binary::kMinimum:
      return a < b || a != a ? a : b;
  }
  return a;
}

template <class T>
bool holds(Compare op, T a, T b) {
  switch (op) {
    case Compare::kLess:
      return a < b;
    case Compare::kLessEqual:
      return a <= b;
    case Compare::kGreater:
      return a > b;
    case Compare::kGreaterEqual:
      return a >= b;
    case Compare::kEqual:
      return a == b;
    case Compare::kNotEqual:
      return a != b;
  }
  return false;
}

}  // namespace

void unary(Unary op, const Tensor& x, Tensor& y) {
  map(name_of(op), x, y, [op](auto v) { return value_of(op, v); });
}

void unary_backward(Unary op, const Tensor& x, const Tensor& y, const Tensor& dy, Tensor& dx) {
  visit_floating(name_of(op), x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const At<T> in(x), out(y), diff_dst(dy), diff_src(dx);
    for_each_index(x.shape(), [&](const Index& i) {
      diff_src(i) = diff_dst(i) * slope_of(op, in(i), out(i));
    });
  });
}

void leaky_relu(const Tensor& x, double slope, Tensor& y) {
  map("leaky_relu", x, y, [slope](auto v) {
    using T = decltype(v);
    return v < 0 ? T(slope) * v : v;
  });
}

void leaky_relu_backward(const Tensor& x, const Tensor& dy, double slope, Tensor& dx) {
  map("leaky_relu_backward", x, dy, dx, [slope](auto v, auto d) {
    using T = decltype(v);
    return v > 0 ? d : T(slope) * d;
  });
}

void pow(const Tensor& x, double exponent, Tensor& y) {
  map("pow", x, y, [exponent](auto v) {
    using T = decltype(v);
    return T(std::pow(v, T(exponent)));
  });
}

void pow_backward(const Tensor& x, const Tensor& dy, double exponent, Tensor& dx) {
  map("pow_backward", x, dy, dx, [exponent](auto v, auto d) {
    using T = decltype(v);
    return exponent == 0 ? T(0) : T(d * T(exponent) * std::pow(v, T(exponent - 1)));
  });
}

void clamp(const Tensor& x, double low, double high, Tensor& y) {
  map("clamp", x, y, [=](auto v) {
    using T = decltype(v);
    return clamped(v, T(low), T(high));
  });
}

void clamp_backward(const Tensor& x, const Tensor& dy, double low, double high, Tensor& dx) {
  map("clamp_backward", x, dy, dx, [=](auto v, auto d) {
    using T = decltype(v);
    return v >= T(low) && v <= T(high) ? d : T(0);
  });
}

void affine(const Tensor& x, double scale, double shift, Tensor& y) {
  map("affine", x, y, [=](auto v) {
    using T = decltype(v);
    return T(scale) * v + T(shift);
  });
}

void star_relu(const Tensor& x, const Tensor& scale, const Tensor& bias, Tensor& y) {
  const double s = scale.item(), b = bias.item();
  map("star_relu", x, y, [=](auto v) {
    using T = decltype(v);
    const T r = v < 0 ? T(0) : v;
    return T(s) * r * r + T(b);
  });
}

void star_relu_backward(const Tensor& x, const Tensor& scale, const Tensor& dy,
                        ops::StarReluGrads& grads) {
  const double s = scale.item();
  double dscale = 0, dbias = 0;
  map("star_relu_backward", x, dy, grads.dx, [&](auto v, auto d) {
    using T = decltype(v);
    const T r = v < 0 ? T(0) : v;
    dscale += double(d) * r * r;
    dbias += d;
    return d * 2 * T(s) * r;
  });
  grads.dscale.fill(dscale);
  grads.dbias.fill(dbias);
}

void binary(Binary op, const Tensor& a, const Tensor& b, Tensor& y) {
  map(name_of(op), a, b, y, [op](auto p, auto q) { return value_of(op, p, q); });
}

void where(const Tensor& condition, const Tensor& a, const Tensor& b, Tensor& y) {
  visit_floating("where", y.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const At<bool> chosen(condition, y.shape());
    const At<T> yes(a, y.shape()), no(b, y.shape()), dst(y);
    for_each_index(y.shape(), [&](const Index& i) { dst(i) = chosen(i) ? yes(i) : no(i); });
  });
}

void compare(Compare op, const Tensor& a, const Tensor& b, Tensor& y) {
  const auto run = [&](auto zero) {
    using T = decltype(zero);
    const At<T> first(a, y.shape()), second(b, y.shape());
    const At<bool> dst(y);
    for_each_index(y.shape(), [&](const Index& i) { dst(i) = holds(op, first(i), second(i)); });
  };
  if (a.dtype() == DType::kI64) return run(int64_t{});
  visit_floating("compare", a.dtype(), run);
}

}  // namespace kintsugi::ref
