#include "kintsugi/engine/ops/reduce.h"

#include <cmath>
#include <limits>

#include "kintsugi/engine/ops/dispatch.h"
#include "kintsugi/engine/ops/elementwise.h"
#include "kintsugi/engine/ref/strided.h"

namespace kintsugi::ops {

namespace {

struct Plan {
  Shape kept;              // 1 where reduced
  std::array<bool, kMaxRank> gone{};
  int64_t count = 1;       // elements a result sums
};

Plan plan_of(const char* op, const Tensor& x, const Dims& dims) {
  Plan plan{x.shape(), {}, 1};
  if (dims.rank() == 0) plan.gone.fill(true);
  for (const int64_t d : dims) plan.gone[normalise_dim(op, int(d), x.rank())] = true;
  for (int i = 0; i < x.rank(); ++i) {
    if (!plan.gone[i]) continue;
    plan.count *= x.size(i);
    plan.kept[i] = 1;
  }
  return plan;
}

}  // namespace

Tensor reduce(Reduce op, const Tensor& x, const Dims& dims, bool keepdim) {
  constexpr const char* kNames[] = {"sum", "mean", "max", "min"};
  const char* name = kNames[int(op)];
  detail::require_floating(name, x);
  const Plan plan = plan_of(name, x, dims);
  if (plan.count == 0 && op != Reduce::kSum) fail(ErrorKind::kShape, name, ": no elements in ", x.shape());
  Tensor out = Tensor::empty(plan.kept, x.dtype(), x.device());
  detail::dispatch({name, {&x}, {&out}}, [&] {
    // Accumulated in double in x's own memory order: row by row into a buffer of the result's size.
    Tensor total = Tensor::full(plan.kept, op == Reduce::kMax ? -INFINITY : op == Reduce::kMin ? INFINITY : 0.0, DType::kF64);
    double* t = total.data<double>();
    const Tensor target = total.expand(x.shape());
    visit_floating(name, x.dtype(), [&](auto z) {
      using T = decltype(z);
      const T* p = x.data<T>();
      ScopedSet threads_guard(Context::current().reference_only, Context::current().reference_only);
      const int saved = Context::current().threads();
      Context::current().set_threads(1);
      ref::StridedLoop<2>({&x, &target}).run([&](const auto& at, int64_t n, const auto& step) {
        const T* a = p + at[0];
        double* o = t + at[1];
        const auto each = [&](auto f) {
          if (step[1] == 0) {
            double acc = *o;
            for (int64_t i = 0; i < n; ++i) acc = f(acc, double(a[i * step[0]]));
            *o = acc;
          } else if (step[0] == 1 && step[1] == 1) {
            for (int64_t i = 0; i < n; ++i) o[i] = f(o[i], double(a[i]));
          } else {
            for (int64_t i = 0; i < n; ++i) o[i * step[1]] = f(o[i * step[1]], double(a[i * step[0]]));
          }
        };
        if (op == Reduce::kMax) each([](double s, double v) { return v != v || v > s ? v : s; });
        else if (op == Reduce::kMin) each([](double s, double v) { return v != v || v < s ? v : s; });
        else each([](double s, double v) { return s + v; });
      });
      Context::current().set_threads(saved);
      T* o = out.data<T>();
      const double scale = op == Reduce::kMean ? 1.0 / double(plan.count) : 1.0;
      for (int64_t i = 0; i < total.numel(); ++i) o[i] = T(t[i] * scale);
    });
  });
  if (keepdim) return out;
  Shape shape;
  for (int i = 0; i < x.rank(); ++i) {
    if (!plan.gone[i]) shape.push_back(x.size(i));
  }
  return out.view(shape);
}

Tensor sum_to(const Tensor& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  Dims dims;
  const int extra = x.rank() - shape.rank();
  for (int i = 0; i < x.rank(); ++i) {
    if (i < extra || (shape[i - extra] == 1 && x.size(i) != 1)) dims.push_back(i);
  }
  if (dims.rank() == 0) return x.view(shape);
  return sum(x, dims, true).view(shape);
}

Tensor extremum_backward(const Tensor& x, const Tensor& y, const Tensor& dy) {
  const Tensor one = Tensor::full({}, 1, x.dtype(), x.device()), zero = Tensor::zeros({}, x.dtype(), x.device());
  const Tensor hit = where(compare(Compare::kEqual, x, y), one, zero);
  const Tensor ties = sum_to(hit, y.shape());
  return mul(hit, div(dy, ties));
}

Tensor argmax(const Tensor& x, int dim) {
  dim = normalise_dim("argmax", dim, x.rank());
  detail::require_floating("argmax", x);
  Shape shape = x.shape();
  shape.erase(dim);
  Tensor out = Tensor::empty(shape, DType::kI64, x.device());
  detail::dispatch({"argmax", {&x}, {&out}}, [&] {
    Dims order;
    for (int i = 0; i < x.rank(); ++i) if (i != dim) order.push_back(i);
    order.push_back(dim);
    const Tensor rows = x.permute(order).contiguous();
    const int64_t n = x.size(dim);
    visit_floating("argmax", x.dtype(), [&](auto z) {
      using T = decltype(z);
      const T* p = rows.data<T>();
      int64_t* o = out.data<int64_t>();
      for (int64_t r = 0; r < out.numel(); ++r) {
        int64_t best = 0;
        for (int64_t i = 1; i < n; ++i) if (p[r * n + i] > p[r * n + best]) best = i;
        o[r] = best;
      }
    });
  });
  return out;
}

}  // namespace kintsugi::ops
