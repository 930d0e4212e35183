#include "kintsugi/engine/cpu/elementwise.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "kintsugi/engine/cpu/loop.h"
#include "kintsugi/engine/cpu/simd/elementwise.h"
#include "kintsugi/engine/ops/order.h"

namespace kintsugi::cpu {

namespace {

using ops::Binary;
using ops::Compare;
using ops::Unary;

static_assert(int(Unary::kNeg) == kNeg && int(Unary::kRelu) == kRelu &&
              int(Unary::kSigmoid) == kSigmoid && int(Unary::kRelu6) == kRelu6);

// Elements a thread must have to be worth waking: of functions of a few instructions (memory bound)
// and of those with an exponential.
constexpr int64_t kCheapGrain = 32768, kCostlyGrain = 4096;

int64_t grain_of(int function) {
  switch (function) {
    case kNeg:
    case kAbs:
    case kSquare:
    case kRelu:
    case kHardswish:
    case kHardsigmoid:
    case kRelu6:
    case kLeakyRelu:
    case kClamp:
    case kAffine:
    case kStarRelu:
      return kCheapGrain;
    default:
      return kCostlyGrain;
  }
}

bool map(int function, const Tensor& x, Tensor& y, double p = 0, double q = 0) {
  if (x.dtype() != DType::kF32) return false;
  if (x.numel() == 0) return true;
  const Tensor src = detail::in_order_of(y, x);
  const float* in = src.data<float>();
  float* out = y.data<float>();
  const auto kernel = elementwise_kernels().forward[function];
  parallel_for(y.numel(), grain_of(function), [&](int64_t begin, int64_t end) {
    kernel(end - begin, in + begin, out + begin, float(p), float(q));
  });
  return true;
}

bool map_backward(int function, const Tensor& x, const Tensor& y, const Tensor& dy, Tensor& dx,
                  double p = 0, double q = 0) {
  if (x.dtype() != DType::kF32) return false;
  if (x.numel() == 0) return true;
  const Tensor src = detail::in_order_of(dx, x), dst = detail::in_order_of(dx, y);
  const Tensor diff = detail::in_order_of(dx, dy);
  const float *in = src.data<float>(), *value = dst.data<float>(), *d = diff.data<float>();
  float* out = dx.data<float>();
  const auto kernel = elementwise_kernels().backward[function];
  parallel_for(dx.numel(), grain_of(function), [&](int64_t begin, int64_t end) {
    kernel(end - begin, in + begin, value + begin, d + begin, out + begin, float(p), float(q));
  });
  return true;
}

// Rows of an operand must be contiguous or one number; a transposed operand is copied first.
bool has_rows(const Loop<3>& loop, int k) {
  return loop.inner_step(k) == 1 || loop.inner_step(k) == 0 || loop.inner() == 1;
}

// Operand 2's rank padded with ones, so that it can take the order of y.
Tensor padded(const Tensor& x, int rank) {
  Tensor out = x;
  while (out.rank() < rank) out = out.unsqueeze(0);
  return out;
}

template <class T>
void compare_rows(Compare op, const Loop<3>& loop, const T* a, const T* b, bool* y) {
  const auto with = [&](const auto& holds) {
    const int64_t sa = loop.inner_step(1), sb = loop.inner_step(2), sy = loop.inner_step(0);
    run_loop(loop, kCheapGrain, [&](int64_t rows, int64_t n, const std::array<int64_t, 3>& at) {
      for (int64_t r = 0; r < rows; ++r) {
        bool* dst = y + at[0] + r * loop.row_step(0);
        const T* p = a + at[1] + r * loop.row_step(1);
        const T* q = b + at[2] + r * loop.row_step(2);
        for (int64_t i = 0; i < n; ++i) dst[i * sy] = holds(p[i * sa], q[i * sb]);
      }
    });
  };
  switch (op) {
    case Compare::kLess:
      return with([](T p, T q) { return p < q; });
    case Compare::kLessEqual:
      return with([](T p, T q) { return p <= q; });
    case Compare::kGreater:
      return with([](T p, T q) { return p > q; });
    case Compare::kGreaterEqual:
      return with([](T p, T q) { return p >= q; });
    case Compare::kEqual:
      return with([](T p, T q) { return p == q; });
    case Compare::kNotEqual:
      return with([](T p, T q) { return p != q; });
  }
}

}  // namespace

bool unary(Unary op, const Tensor& x, Tensor& y) {
  return map(int(op), x, y);
}

bool unary_backward(Unary op, const Tensor& x, const Tensor& y, const Tensor& dy, Tensor& dx) {
  return map_backward(int(op), x, y, dy, dx);
}

bool leaky_relu(const Tensor& x, double slope, Tensor& y) {
  return map(kLeakyRelu, x, y, slope);
}
bool leaky_relu_backward(const Tensor& x, const Tensor& dy, double slope, Tensor& dx) {
  return map_backward(kLeakyRelu, x, x, dy, dx, slope);
}
bool pow(const Tensor& x, double exponent, Tensor& y) {
  return map(kPow, x, y, exponent);
}
bool pow_backward(const Tensor& x, const Tensor& dy, double exponent, Tensor& dx) {
  return map_backward(kPow, x, x, dy, dx, exponent);
}
bool clamp(const Tensor& x, double low, double high, Tensor& y) {
  return map(kClamp, x, y, low, high);
}
bool clamp_backward(const Tensor& x, const Tensor& dy, double low, double high, Tensor& dx) {
  return map_backward(kClamp, x, x, dy, dx, low, high);
}
bool affine(const Tensor& x, double scale, double shift, Tensor& y) {
  return map(kAffine, x, y, scale, shift);
}

bool star_relu(const Tensor& x, const Tensor& scale, const Tensor& bias, Tensor& y) {
  return map(kStarRelu, x, y, scale.item(), bias.item());
}

bool star_relu_backward(const Tensor& x, const Tensor& scale, const Tensor& dy,
                        ops::StarReluGrads& grads) {
  if (x.dtype() != DType::kF32) return false;
  const Tensor src = detail::in_order_of(grads.dx, x), diff = detail::in_order_of(grads.dx, dy);
  const float *in = src.data<float>(), *d = diff.data<float>();
  float* out = grads.dx.data<float>();
  const float factor = float(scale.item());
  const auto kernel = elementwise_kernels().star_relu_backward;
  // Parts of one size, summed in order: the same bits for every number of threads.
  const int64_t n = x.numel(), parts = (n + kCheapGrain - 1) / kCheapGrain;
  std::vector<double> dscale(size_t(parts), 0), dbias(size_t(parts), 0);
  parallel_for(parts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      const int64_t at = p * kCheapGrain;
      kernel(std::min(kCheapGrain, n - at), in + at, d + at, out + at, factor, &dscale[size_t(p)],
             &dbias[size_t(p)]);
    }
  });
  grads.dscale.fill(std::accumulate(dscale.begin(), dscale.end(), 0.0));
  grads.dbias.fill(std::accumulate(dbias.begin(), dbias.end(), 0.0));
  return true;
}

bool binary(Binary op, const Tensor& a, const Tensor& b, Tensor& y) {
  if (y.dtype() != DType::kF32) return false;
  if (y.numel() == 0) return true;
  Tensor first = a, second = b;
  Loop<3> loop = make_loop<3>({&y, &first, &second});
  if (!has_rows(loop, 0)) return false;
  const bool a_rows = has_rows(loop, 1), b_rows = has_rows(loop, 2);
  if (!a_rows || !b_rows) {
    if (!a_rows) first = detail::in_order_of(y, padded(a, y.rank()));
    if (!b_rows) second = detail::in_order_of(y, padded(b, y.rank()));
    loop = make_loop<3>({&y, &first, &second});
  }
  if (loop.inner_step(1) == 0 && loop.inner_step(2) == 0 && loop.inner() > 1) {
    first = detail::in_order_of(y, a.expand(y.shape()));
    loop = make_loop<3>({&y, &first, &second});
  }
  const float *p = first.data<float>(), *q = second.data<float>();
  float* out = y.data<float>();
  const bool a_number = loop.inner_step(1) == 0, b_number = loop.inner_step(2) == 0;
  const int form = loop.inner() == 1 || a_number == b_number ? 0 : a_number ? 1 : 2;
  const auto kernel = elementwise_kernels().binary[int(op)][form];
  run_loop(loop, kCheapGrain, [&](int64_t rows, int64_t n, const std::array<int64_t, 3>& at) {
    kernel(rows, n, p + at[1], loop.row_step(1), q + at[2], loop.row_step(2), out + at[0],
           loop.row_step(0));
  });
  return true;
}

bool where(const Tensor& condition, const Tensor& a, const Tensor& b, Tensor& y) {
  if (y.dtype() != DType::kF32) return false;
  const Loop<4> loop = make_loop<4>({&y, &condition, &a, &b});
  const bool* chosen = condition.data<bool>();
  const float *yes = a.data<float>(), *no = b.data<float>();
  float* out = y.data<float>();
  const int64_t sy = loop.inner_step(0), sc = loop.inner_step(1), sa = loop.inner_step(2),
                sb = loop.inner_step(3);
  run_loop(loop, kCheapGrain, [&](int64_t rows, int64_t n, const std::array<int64_t, 4>& at) {
    for (int64_t r = 0; r < rows; ++r) {
      float* dst = out + at[0] + r * loop.row_step(0);
      const bool* c = chosen + at[1] + r * loop.row_step(1);
      const float* p = yes + at[2] + r * loop.row_step(2);
      const float* q = no + at[3] + r * loop.row_step(3);
      for (int64_t i = 0; i < n; ++i) dst[i * sy] = c[i * sc] ? p[i * sa] : q[i * sb];
    }
  });
  return true;
}

bool compare(Compare op, const Tensor& a, const Tensor& b, Tensor& y) {
  const Loop<3> loop = make_loop<3>({&y, &a, &b});
  bool* out = y.data<bool>();
  if (a.dtype() == DType::kF32) {
    compare_rows(op, loop, a.data<float>(), b.data<float>(), out);
  } else if (a.dtype() == DType::kI64) {
    compare_rows(op, loop, a.data<int64_t>(), b.data<int64_t>(), out);
  } else {
    compare_rows(op, loop, a.data<double>(), b.data<double>(), out);
  }
  return true;
}

}  // namespace kintsugi::cpu
