#include "kintsugi/engine/ops/softmax.h"

#include "kintsugi/engine/cpu/softmax.h"
#include "kintsugi/engine/cuda/softmax.h"
#include "kintsugi/engine/ops/dispatch.h"
#include "kintsugi/engine/ref/softmax.h"

namespace kintsugi::ops {

namespace {

// x's elements in the order in memory of `like`, which is dense.
Tensor in_order_of(const Tensor& like, const Tensor& x) {
  if (x.strides() == like.strides()) return x;
  Tensor copy = Tensor::empty_like(like);
  copy.copy_from(x);
  return copy;
}

Tensor forward(const char* op, const Tensor& input, int dim, bool logarithm) {
  detail::require_floating(op, input);
  dim = normalise_dim(op, dim, input.rank());
  const Tensor x = input.is_dense() ? input : input.contiguous();
  const Tensor y = Tensor::empty_like(x);
  detail::dispatch({op, {&input}, {&y}, 0, "dim=" + std::to_string(dim)},
                   KINTSUGI_BACKENDS(softmax(x, dim, logarithm, y)));
  return y;
}

Tensor backward(const char* op, const Tensor& value, const Tensor& grad, int dim, bool logarithm) {
  detail::require_floating(op, value);
  detail::require_same_dtype(op, value, grad);
  detail::require_shape(op, "dy", grad, value.shape());
  dim = normalise_dim(op, dim, value.rank());
  const Tensor y = value.is_dense() ? value : value.contiguous();
  const Tensor dy = in_order_of(y, grad);
  const Tensor dx = Tensor::empty_like(y);
  detail::dispatch({op, {&value, &grad}, {&dx}, 0, "dim=" + std::to_string(dim)},
                   KINTSUGI_BACKENDS(softmax_backward(y, dy, dim, logarithm, dx)));
  return dx;
}

}  // namespace

Tensor softmax(const Tensor& x, int dim) {
  return forward("softmax", x, dim, false);
}
Tensor log_softmax(const Tensor& x, int dim) {
  return forward("log_softmax", x, dim, true);
}

Tensor softmax_backward(const Tensor& y, const Tensor& dy, int dim) {
  return backward("softmax_backward", y, dy, dim, false);
}
Tensor log_softmax_backward(const Tensor& y, const Tensor& dy, int dim) {
  return backward("log_softmax_backward", y, dy, dim, true);
}

}  // namespace kintsugi::ops
