#include "kintsugi/engine/ops/conv.h"

#include "kintsugi/engine/cpu/conv.h"
#include "kintsugi/engine/cuda/conv.h"
#include "kintsugi/engine/ops/dispatch.h"
#include "kintsugi/engine/ref/conv.h"

namespace kintsugi::ops {

namespace {

void require_at_least(const char* what, int64_t got, int64_t least) {
  if (got < least)
    fail(ErrorKind::kShape, "conv2d: got ", what, " ", got, ", expected at least ", least);
}

int64_t output_extent(const char* what, int64_t input, int64_t kernel, int64_t stride,
                      int64_t before, int64_t after, int64_t dilation) {
  const int64_t window = (kernel - 1) * dilation + 1;
  const int64_t room = input + before + after;
  if (window > room) {
    fail(ErrorKind::kShape, "conv2d: the kernel spans ", window, " ", what,
         ", expected at most the padded input's ", room);
  }
  return (room - window) / stride + 1;
}

int64_t macs(const Shape& y, const Shape& weight) {
  return y.numel() * weight[1] * weight[2] * weight[3];
}

}  // namespace

Conv2dParams Conv2dParams::same(int64_t stride, int64_t padding, int64_t groups) {
  return {{stride, stride}, {padding, padding, padding, padding}, {1, 1}, groups, false};
}

Shape Conv2dParams::output_shape(const Shape& x, const Shape& weight) const {
  if (x.rank() != 4) {
    fail(ErrorKind::kShape, "conv2d: got an input of shape ", x, ", expected (N,C,H,W)");
  }
  if (weight.rank() != 4) {
    fail(ErrorKind::kShape, "conv2d: got a weight of shape ", weight,
         ", expected (O,C/groups,KH,KW)");
  }
  require_at_least("groups", groups, 1);
  for (const int64_t s : stride) require_at_least("stride", s, 1);
  for (const int64_t p : padding) require_at_least("padding", p, 0);
  for (const int64_t d : dilation) require_at_least("dilation", d, 1);
  for (int i = 0; i < 4; ++i) require_at_least("weight extent", weight[i], 1);
  if (x[1] != weight[1] * groups) {
    fail(ErrorKind::kShape, "conv2d: got ", x[1], " input channels, expected ", weight[1] * groups,
         " for a weight of shape ", weight, " in ", groups, groups == 1 ? " group" : " groups");
  }
  if (weight[0] % groups != 0) {
    fail(ErrorKind::kShape, "conv2d: got ", weight[0], " output channels, expected a multiple of ",
         groups, " groups");
  }
  return {
      x[0], weight[0],
      output_extent("rows", x[2], weight[2], stride[0], padding[0], padding[1], dilation[0]),
      output_extent("columns", x[3], weight[3], stride[1], padding[2], padding[3], dilation[1])};
}

std::string Conv2dParams::str() const {
  std::ostringstream out;
  out << "stride=" << stride[0] << ',' << stride[1] << " padding=" << padding[0] << ','
      << padding[1] << ',' << padding[2] << ',' << padding[3] << " dilation=" << dilation[0] << ','
      << dilation[1] << " groups=" << groups;
  if (relu) out << " relu";
  return out.str();
}

Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias,
              const Conv2dParams& params) {
  detail::require_floating("conv2d", x);
  detail::require_parameter("conv2d", x, weight);
  const Shape shape = params.output_shape(x.shape(), weight.shape());
  if (bias.defined()) {
    detail::require_parameter("conv2d", x, bias);
    detail::require_shape("conv2d", "bias", bias, {weight.size(0)});
  }
  Tensor y = Tensor::empty(shape, x.dtype(), x.device(), MemoryFormat::kChannelsLast);
  detail::dispatch(
      {"conv2d", {&x, &weight, &bias}, {&y}, macs(shape, weight.shape()), params.str()},
      KINTSUGI_BACKENDS(conv2d(x, weight, bias, params, y)));
  return y;
}

Tensor conv2d_backward_input(const Tensor& dy, const Tensor& weight, const Shape& x_shape,
                             const Conv2dParams& params) {
  constexpr const char* kOp = "conv2d_backward_input";
  detail::require_floating(kOp, dy);
  detail::require_parameter(kOp, dy, weight);
  const Shape shape = params.output_shape(x_shape, weight.shape());
  detail::require_shape(kOp, "dy", dy, shape);
  Tensor dx = Tensor::empty(x_shape, dy.dtype(), dy.device(), MemoryFormat::kChannelsLast);
  detail::dispatch({kOp, {&dy, &weight}, {&dx}, macs(shape, weight.shape()), params.str()},
                   KINTSUGI_BACKENDS(conv2d_backward_input(dy, weight, params, dx)));
  return dx;
}

ConvWeightGrads conv2d_backward_weight(const Tensor& x, const Tensor& dy, const Shape& weight_shape,
                                       bool want_bias, const Conv2dParams& params) {
  constexpr const char* kOp = "conv2d_backward_weight";
  detail::require_floating(kOp, x);
  detail::require_same_dtype(kOp, x, dy);
  const Shape shape = params.output_shape(x.shape(), weight_shape);
  detail::require_shape(kOp, "dy", dy, shape);
  ConvWeightGrads grads;
  const DType dtype = parameter_dtype(x.dtype());
  grads.dweight = Tensor::empty(weight_shape, dtype, x.device());
  if (want_bias) grads.dbias = Tensor::empty({weight_shape[0]}, dtype, x.device());
  const auto run = [&](const OpCall& call) {
    detail::dispatch(
        call, KINTSUGI_BACKENDS(conv2d_backward_weight(x, dy, params, grads.dweight, grads.dbias)));
  };
  const int64_t work = macs(shape, weight_shape);
  if (want_bias)
    run({kOp, {&x, &dy}, {&grads.dweight, &grads.dbias}, work, params.str()});
  else
    run({kOp, {&x, &dy}, {&grads.dweight}, work, params.str()});
  return grads;
}

}  // namespace kintsugi::ops
