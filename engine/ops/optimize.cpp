#include "kintsugi/engine/ops/optimize.h"

#include <vector>

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

// One call of a kernel takes tensors of one dtype.
template <class T>
void require_one_dtype(const char* op, std::span<const T> list, Tensor T::*first) {
  for (const T& one : list) detail::require_same_dtype(op, list[0].*first, one.*first);
}

}  // namespace

void sgd_step(std::span<const SgdTensors> parameters, const SgdStep& step) {
  constexpr const char* kOp = "sgd_step";
  if (parameters.empty()) return;
  require_one_dtype(kOp, parameters, &SgdTensors::p);
  std::vector<SgdTensors> list(parameters.begin(), parameters.end());
  std::vector<const Tensor*> inputs, outputs;
  for (auto& [p, g, v] : list) {
    require_parameter(kOp, p);
    require_like(kOp, "the gradient", p, g);
    if (v.defined()) require_state(kOp, "the velocity", p, v);
    g = detail::in_order_of(p, g);
    inputs.insert(inputs.end(), {&p, &g, &v});
    outputs.push_back(&p);
  }
  for (const auto& [p, g, v] : list) {
    p.bump_version();
    if (v.defined()) v.bump_version();
  }
  detail::dispatch({kOp, inputs, outputs}, KINTSUGI_BACKENDS(sgd_step(list, step)));
}

void adamw_step(std::span<const AdamWTensors> parameters, const AdamWStep& step) {
  constexpr const char* kOp = "adamw_step";
  if (parameters.empty()) return;
  require_one_dtype(kOp, parameters, &AdamWTensors::p);
  std::vector<AdamWTensors> list(parameters.begin(), parameters.end());
  std::vector<const Tensor*> inputs, outputs;
  for (auto& [p, g, m, v] : list) {
    require_parameter(kOp, p);
    require_like(kOp, "the gradient", p, g);
    require_state(kOp, "the mean", p, m);
    require_state(kOp, "the square", p, v);
    g = detail::in_order_of(p, g);
    inputs.insert(inputs.end(), {&p, &g, &m, &v});
    outputs.push_back(&p);
  }
  if (step.t < 1) {
    fail(ErrorKind::kUsage, kOp, ": got step number ", step.t, ", expected at least 1");
  }
  for (const auto& [p, g, m, v] : list) {
    for (const Tensor* x : {&p, &m, &v}) x->bump_version();
  }
  detail::dispatch({kOp, inputs, outputs}, KINTSUGI_BACKENDS(adamw_step(list, step)));
}

void ema_step(std::span<const EmaTensors> values, double decay) {
  constexpr const char* kOp = "ema_step";
  if (values.empty()) return;
  require_one_dtype(kOp, values, &EmaTensors::average);
  std::vector<EmaTensors> list(values.begin(), values.end());
  std::vector<const Tensor*> inputs, outputs;
  for (auto& [average, p] : list) {
    require_parameter(kOp, average);
    require_like(kOp, "the value", average, p);
    p = detail::in_order_of(average, p);
    inputs.insert(inputs.end(), {&average, &p});
    outputs.push_back(&average);
  }
  for (const auto& [average, p] : list) average.bump_version();
  detail::dispatch({kOp, inputs, outputs}, KINTSUGI_BACKENDS(ema_step(list, decay)));
}

}  // namespace kintsugi::ops
