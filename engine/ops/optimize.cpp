#include "kintsugi/engine/ops/optimize.h"

#include <cmath>

#include "kintsugi/engine/ops/dispatch.h"
#include "kintsugi/engine/cpu/parallel.h"

namespace kintsugi::ops {

namespace {
Tensor same_order(const char* op, const Tensor& p, const Tensor& g) {
  detail::require_shape(op, "gradient or state", g, p.shape());
  detail::require_same_dtype(op, p, g);
  if (!p.is_dense()) fail(ErrorKind::kShape, op, ": the parameter must be dense");
  bool same = true;
  for (int i = 0; i < p.rank(); ++i) same &= p.size(i) == 1 || p.strides()[i] == g.strides()[i];
  if (same) return g;
  Tensor out = Tensor::empty_like(p);
  out.copy_from(g);
  return out;
}
}  // namespace

void sgd_step(Tensor& p, const Tensor& grad, Tensor& v, const SgdStep& s) {
  const Tensor g = same_order("sgd_step", p, grad);
  if (v.defined()) { (void)same_order("sgd_step", p, v); v.bump_version(); }
  p.bump_version();
  detail::dispatch({"sgd_step", {&p, &g, &v}, {&p}}, [&] {
    visit_floating("sgd_step", p.dtype(), [&](auto z) {
      using T = decltype(z);
      T* w = p.data<T>();
      const T* d = g.data<T>();
      T* m = v.defined() ? v.data<T>() : nullptr;
      const T lr = T(s.lr), mu = T(s.momentum), wd = T(s.weight_decay);
      cpu::parallel_for(p.numel(), 65536, [&](int64_t b, int64_t e) {
        if (!m) { for (int64_t i = b; i < e; ++i) w[i] -= lr * (d[i] + wd * w[i]); return; }
        for (int64_t i = b; i < e; ++i) {
          const T gi = d[i] + wd * w[i];
          m[i] = mu * m[i] + gi;
          w[i] -= lr * (s.nesterov ? gi + mu * m[i] : m[i]);
        }
      });
    });
  });
}

void adamw_step(Tensor& p, const Tensor& grad, Tensor& m, Tensor& v, const AdamWStep& s) {
  const Tensor g = same_order("adamw_step", p, grad);
  (void)same_order("adamw_step", p, m);
  (void)same_order("adamw_step", p, v);
  p.bump_version(); m.bump_version(); v.bump_version();
  detail::dispatch({"adamw_step", {&p, &g, &m, &v}, {&p}}, [&] {
    visit_floating("adamw_step", p.dtype(), [&](auto z) {
      using T = decltype(z);
      T *w = p.data<T>(), *a = m.data<T>(), *b2 = v.data<T>();
      const T* d = g.data<T>();
      const T beta1 = T(s.beta1), beta2 = T(s.beta2), eps = T(s.epsilon), decay = T(1 - s.lr * s.weight_decay);
      const T step = T(s.lr / (1 - std::pow(s.beta1, double(s.t)))), root = T(1 / std::sqrt(1 - std::pow(s.beta2, double(s.t))));
      cpu::parallel_for(p.numel(), 65536, [&](int64_t b, int64_t e) {
        for (int64_t i = b; i < e; ++i) {
          a[i] = beta1 * a[i] + (1 - beta1) * d[i];
          b2[i] = beta2 * b2[i] + (1 - beta2) * d[i] * d[i];
          w[i] = w[i] * decay - step * a[i] / (std::sqrt(b2[i]) * root + eps);
        }
      });
    });
  });
}

void ema_step(Tensor& average, const Tensor& x, double decay) {
  const Tensor p = same_order("ema_step", average, x);
  average.bump_version();
  detail::dispatch({"ema_step", {&average, &p}, {&average}}, [&] {
    visit_floating("ema_step", p.dtype(), [&](auto z) {
      using T = decltype(z);
      T* a = average.data<T>();
      const T* w = p.data<T>();
      const T rest = T(1 - decay);  // as a step towards x: a constant stays the same to the bit
      cpu::parallel_for(p.numel(), 65536, [&](int64_t b, int64_t e) { for (int64_t i = b; i < e; ++i) a[i] += rest * (w[i] - a[i]); });
    });
  });
}

}  // namespace kintsugi::ops
