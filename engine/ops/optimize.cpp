#include "kintsugi/engine/ops/optimize.h"

#include "kintsugi/engine/cpu/optimize.h"
#include "kintsugi/engine/cuda/optimize.h"
#include "kintsugi/engine/ops/dispatch.h"
#include "kintsugi/engine/ops/order.h"
#include "kintsugi/engine/ref/optimize.h"

namespace kintsugi::ops {

namespace {

void require_parameter(const char* op, const Tensor& p) {
  detail::require_floating(op, p);
  if (!p.is_dense()) {
    fail(ErrorKind::kShape, op, ": a parameter of shape ", p.shape(), " has strides ", p.strides(),
         ", expected no gaps");
  }
}

void require_like(const char* op, const char* what, const Tensor& p, const Tensor& x) {
  detail::require_shape(op, what, x, p.shape());
  detail::require_same_dtype(op, p, x);
}

// State is written, so it must lie as the parameter does already.
void require_state(const char* op, const char* what, const Tensor& p, const Tensor& state) {
  require_like(op, what, p, state);
  if (!p.is_meta() && !detail::in_order_of(p, state).shares_storage_with(state)) {
    fail(ErrorKind::kShape, op, ": ", what, " has strides ", state.strides(), ", expected ",
         p.strides());
  }
}

}  // namespace

void sgd_step(Tensor& p, const Tensor& g, Tensor& v, const SgdStep& step) {
  require_parameter("sgd_step", p);
  require_like("sgd_step", "the gradient", p, g);
  if (v.defined()) {
    require_state("sgd_step", "the velocity", p, v);
    v.bump_version();
  }
  p.bump_version();
  const Tensor gradient = detail::in_order_of(p, g);
  detail::dispatch({"sgd_step", {&p, &gradient, &v}, {&p}},
                   KINTSUGI_BACKENDS(sgd_step(p, gradient, v, step)));
}

void adamw_step(Tensor& p, const Tensor& g, Tensor& m, Tensor& v, const AdamWStep& step) {
  require_parameter("adamw_step", p);
  require_like("adamw_step", "the gradient", p, g);
  require_state("adamw_step", "the mean", p, m);
  require_state("adamw_step", "the square", p, v);
  if (step.t < 1) {
    fail(ErrorKind::kUsage, "adamw_step: got step number ", step.t, ", expected at least 1");
  }
  p.bump_version();
  m.bump_version();
  v.bump_version();
  const Tensor gradient = detail::in_order_of(p, g);
  detail::dispatch({"adamw_step", {&p, &gradient, &m, &v}, {&p}},
                   KINTSUGI_BACKENDS(adamw_step(p, gradient, m, v, step)));
}

void ema_step(Tensor& average, const Tensor& p, double decay) {
  require_parameter("ema_step", average);
  require_like("ema_step", "the value", average, p);
  average.bump_version();
  const Tensor value = detail::in_order_of(average, p);
  detail::dispatch({"ema_step", {&average, &value}, {&average}},
                   KINTSUGI_BACKENDS(ema_step(average, value, decay)));
}

}  // namespace kintsugi::ops
