#include "kintsugi/engine/ops/elementwise.h"

#include "kintsugi/engine/cpu/elementwise.h"
#include "kintsugi/engine/cuda/elementwise.h"
#include "kintsugi/engine/ops/dispatch.h"
#include "kintsugi/engine/ops/order.h"
#include "kintsugi/engine/ref/elementwise.h"

namespace kintsugi::ops {

namespace {

using detail::empty_in_order_of;
using detail::in_order_of;

// Shape () or (1) holds the one number of a learned scale or bias.
void require_number(const char* op, const char* what, const Tensor& x, const Tensor& like) {
  if (x.numel() != 1) {
    fail(ErrorKind::kShape, op, ": ", what, " has shape ", x.shape(), ", expected (1)");
  }
  detail::require_parameter(op, like, x);
}

void require_gradient(const char* op, const Tensor& x, const Tensor& dy) {
  detail::require_floating(op, x);
  detail::require_same_dtype(op, x, dy);
  detail::require_shape(op, "dy", dy, x.shape());
}

// A grid's order wins where an operand is channels last; else that of the first operand which has
// the result's shape.
Tensor empty_broadcast(const char* op, std::initializer_list<const Tensor*> operands, DType dtype) {
  Shape shape = (*operands.begin())->shape();
  for (const Tensor* x : operands) {
    if (!(x->shape() == shape)) shape = broadcast_shapes(op, shape, x->shape());
  }
  const Device device = (*operands.begin())->device();
  const Tensor* like = nullptr;
  for (const Tensor* x : operands) {
    if (x->is_channels_last() && !x->is_contiguous()) {
      return Tensor::empty(shape, dtype, device, MemoryFormat::kChannelsLast);
    }
    if (!like && x->shape() == shape) like = x;
  }
  if (like) return empty_in_order_of(*like, shape, dtype);
  return Tensor::empty(shape, dtype, device);
}

}  // namespace

const char* name_of(Unary op) {
  constexpr const char* kNames[] = {"neg",       "abs",    "exp",        "log",         "sqrt",
                                    "rsqrt",     "square", "reciprocal", "relu",        "gelu",
                                    "gelu_tanh", "silu",   "hardswish",  "hardsigmoid", "sigmoid",
                                    "tanh",      "relu6"};
  return kNames[static_cast<int>(op)];
}

const char* name_of(Binary op) {
  constexpr const char* kNames[] = {"add", "sub", "mul", "div", "maximum", "minimum"};
  return kNames[static_cast<int>(op)];
}

Tensor unary(Unary op, const Tensor& x) {
  detail::require_floating(name_of(op), x);
  Tensor y = empty_in_order_of(x);
  detail::dispatch({name_of(op), {&x}, {&y}}, KINTSUGI_BACKENDS(unary(op, x, y)));
  return y;
}

Tensor unary_backward(Unary op, const Tensor& x, const Tensor& y, const Tensor& dy) {
  require_gradient(name_of(op), x, dy);
  detail::require_shape(name_of(op), "y", y, x.shape());
  Tensor dx = empty_in_order_of(x);
  detail::dispatch({name_of(op), {&x, &y, &dy}, {&dx}, 0, "backward"},
                   KINTSUGI_BACKENDS(unary_backward(op, x, y, dy, dx)));
  return dx;
}

Tensor leaky_relu(const Tensor& x, double slope) {
  detail::require_floating("leaky_relu", x);
  Tensor y = empty_in_order_of(x);
  detail::dispatch({"leaky_relu", {&x}, {&y}}, KINTSUGI_BACKENDS(leaky_relu(x, slope, y)));
  return y;
}

Tensor leaky_relu_backward(const Tensor& x, const Tensor& dy, double slope) {
  require_gradient("leaky_relu_backward", x, dy);
  Tensor dx = empty_in_order_of(x);
  detail::dispatch({"leaky_relu_backward", {&x, &dy}, {&dx}},
                   KINTSUGI_BACKENDS(leaky_relu_backward(x, dy, slope, dx)));
  return dx;
}

Tensor pow(const Tensor& x, double exponent) {
  detail::require_floating("pow", x);
  Tensor y = empty_in_order_of(x);
  detail::dispatch({"pow", {&x}, {&y}}, KINTSUGI_BACKENDS(pow(x, exponent, y)));
  return y;
}

Tensor pow_backward(const Tensor& x, const Tensor& dy, double exponent) {
  require_gradient("pow_backward", x, dy);
  Tensor dx = empty_in_order_of(x);
  detail::dispatch({"pow_backward", {&x, &dy}, {&dx}},
                   KINTSUGI_BACKENDS(pow_backward(x, dy, exponent, dx)));
  return dx;
}

Tensor clamp(const Tensor& x, double low, double high) {
  detail::require_floating("clamp", x);
  if (!(low <= high)) {
    fail(ErrorKind::kUsage, "clamp: got low ", low, " and high ", high, ", expected low <= high");
  }
  Tensor y = empty_in_order_of(x);
  detail::dispatch({"clamp", {&x}, {&y}}, KINTSUGI_BACKENDS(clamp(x, low, high, y)));
  return y;
}

Tensor clamp_backward(const Tensor& x, const Tensor& dy, double low, double high) {
  require_gradient("clamp_backward", x, dy);
  Tensor dx = empty_in_order_of(x);
  detail::dispatch({"clamp_backward", {&x, &dy}, {&dx}},
                   KINTSUGI_BACKENDS(clamp_backward(x, dy, low, high, dx)));
  return dx;
}

Tensor affine(const Tensor& x, double scale, double shift) {
  detail::require_floating("affine", x);
  Tensor y = empty_in_order_of(x);
  detail::dispatch({"affine", {&x}, {&y}}, KINTSUGI_BACKENDS(affine(x, scale, shift, y)));
  return y;
}

Tensor star_relu(const Tensor& x, const Tensor& scale, const Tensor& bias) {
  detail::require_floating("star_relu", x);
  require_number("star_relu", "scale", scale, x);
  require_number("star_relu", "bias", bias, x);
  Tensor y = empty_in_order_of(x);
  detail::dispatch({"star_relu", {&x, &scale, &bias}, {&y}},
                   KINTSUGI_BACKENDS(star_relu(x, scale, bias, y)));
  return y;
}

StarReluGrads star_relu_backward(const Tensor& x, const Tensor& scale, const Tensor& dy) {
  require_gradient("star_relu_backward", x, dy);
  require_number("star_relu_backward", "scale", scale, x);
  StarReluGrads grads{empty_in_order_of(x), Tensor::empty_like(scale), Tensor::empty_like(scale)};
  detail::dispatch(
      {"star_relu_backward", {&x, &scale, &dy}, {&grads.dx, &grads.dscale, &grads.dbias}},
      KINTSUGI_BACKENDS(star_relu_backward(x, scale, dy, grads)));
  return grads;
}

Tensor binary(Binary op, const Tensor& a, const Tensor& b) {
  detail::require_floating(name_of(op), a);
  detail::require_floating(name_of(op), b);
  const DType dtype = detail::common_dtype(name_of(op), a.dtype(), b.dtype());
  Tensor y = empty_broadcast(name_of(op), {&a, &b}, dtype);
  detail::dispatch({name_of(op), {&a, &b}, {&y}}, KINTSUGI_BACKENDS(binary(op, a, b, y)));
  return y;
}

void add_in_place(Tensor& dst, const Tensor& src) {
  detail::require_floating("add_in_place", dst);
  detail::require_same_dtype("add_in_place", dst, src);
  detail::require_shape("add_in_place", "src", src, dst.shape());
  dst.bump_version();
  detail::dispatch({"add_in_place", {&dst, &src}, {&dst}},
                   KINTSUGI_BACKENDS(binary(Binary::kAdd, dst, src, dst)));
}

Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b) {
  if (condition.dtype() != DType::kBool) {
    fail(ErrorKind::kDtype, "where: condition is ", kintsugi::name_of(condition.dtype()),
         ", expected bool");
  }
  detail::require_floating("where", a);
  const DType dtype = detail::common_dtype("where", a.dtype(), b.dtype());
  Tensor y = empty_broadcast("where", {&a, &b, &condition}, dtype);
  detail::dispatch({"where", {&condition, &a, &b}, {&y}},
                   KINTSUGI_BACKENDS(where(condition, a, b, y)));
  return y;
}

Tensor compare(Compare op, const Tensor& a, const Tensor& b) {
  if (a.dtype() != DType::kI64) detail::require_floating("compare", a);
  detail::common_dtype("compare", a.dtype(), b.dtype());
  Tensor y = empty_broadcast("compare", {&a, &b}, DType::kBool);
  detail::dispatch({"compare", {&a, &b}, {&y}}, KINTSUGI_BACKENDS(compare(op, a, b, y)));
  return y;
}

}  // namespace kintsugi::ops
