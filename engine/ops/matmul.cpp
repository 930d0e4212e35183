#include "kintsugi/engine/ops/matmul.h"

#include "kintsugi/engine/cpu/matmul.h"
#include "kintsugi/engine/cuda/matmul.h"
#include "kintsugi/engine/ops/dispatch.h"
#include "kintsugi/engine/ref/matmul.h"

namespace kintsugi::ops {

namespace {

Shape leading(const Tensor& x, int dropped) {
  return Shape(std::span(x.shape().begin(), size_t(x.rank() - dropped)));
}

Tensor expanded(const Tensor& x, Shape batch) {
  batch.push_back(x.size(-2));
  batch.push_back(x.size(-1));
  return x.shape() == batch ? x : x.expand(batch);
}

// (...,C) as (rows,C) with a unit last stride.
Tensor as_rows(const Tensor& x) {
  const int64_t columns = x.size(-1);
  const Shape rows{leading(x, 1).numel(), columns};
  if (x.numel() == 0) return Tensor::empty(rows, x.dtype(), x.device());
  if ((x.strides()[-1] == 1 || columns == 1) && x.can_view(rows)) return x.view(rows);
  return x.contiguous().view(rows);
}

void check_linear(const char* op, const Tensor& x, const Tensor& weight) {
  detail::require_floating(op, x);
  detail::require_parameter(op, x, weight);
  detail::require_rank(op, weight, 2, "(out,in) of the weight");
  if (x.rank() < 1 || x.size(-1) != weight.size(1)) {
    fail(ErrorKind::kShape, op, ": got x of shape ", x.shape(), " for a weight of shape ",
         weight.shape(), ", expected (...,", weight.size(1), ")");
  }
}

}  // namespace

Tensor matmul(const Tensor& a, const Tensor& b) {
  constexpr const char* kOp = "matmul";
  detail::require_floating(kOp, a);
  detail::require_same_dtype(kOp, a, b);
  if (a.rank() < 2 || b.rank() < 2 || a.size(-1) != b.size(-2)) {
    fail(ErrorKind::kShape, kOp, ": got ", a.shape(), " and ", b.shape(),
         ", expected (...,M,K) and (...,K,N)");
  }
  const Shape batch = broadcast_shapes(kOp, leading(a, 2), leading(b, 2));
  const Tensor left = expanded(a, batch), right = expanded(b, batch);
  Shape shape = batch;
  shape.push_back(a.size(-2));
  shape.push_back(b.size(-1));
  const Tensor y = Tensor::empty(shape, a.dtype(), a.device());
  detail::dispatch({kOp, {&a, &b}, {&y}, y.numel() * a.size(-1)},
                   KINTSUGI_BACKENDS(matmul(left, right, y)));
  return y;
}

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  constexpr const char* kOp = "linear";
  check_linear(kOp, x, weight);
  const int64_t out = weight.size(0);
  Tensor dense_bias = bias;
  if (bias.defined()) {
    detail::require_parameter(kOp, x, bias);
    detail::require_shape(kOp, "bias", bias, {out});
    dense_bias = bias.contiguous();
  }
  Shape shape = leading(x, 1);
  shape.push_back(out);
  const Tensor y = Tensor::empty(shape, x.dtype(), x.device());
  const Tensor x_rows = as_rows(x);
  const Tensor y_rows = y.view({x_rows.size(0), out});
  detail::dispatch({kOp, {&x, &weight, &bias}, {&y}, y.numel() * weight.size(1)},
                   KINTSUGI_BACKENDS(linear(x_rows, weight, dense_bias, y_rows)));
  return y;
}

LinearGrads linear_backward(const Tensor& x, const Tensor& weight, const Tensor& dy, bool want_dx,
                            bool want_dweight, bool want_dbias) {
  constexpr const char* kOp = "linear_backward";
  check_linear(kOp, x, weight);
  detail::require_same_dtype(kOp, x, dy);
  Shape shape = leading(x, 1);
  shape.push_back(weight.size(0));
  detail::require_shape(kOp, "dy", dy, shape);
  if (!want_dx && !want_dweight && !want_dbias) return {};

  LinearGrads grads;
  if (want_dx) grads.dx = Tensor::empty(x.shape(), x.dtype(), x.device());
  if (want_dweight) grads.dweight = Tensor::empty(weight.shape(), weight.dtype(), x.device());
  if (want_dbias) grads.dbias = Tensor::empty({weight.size(0)}, weight.dtype(), x.device());
  const Tensor x_rows = as_rows(x), dy_rows = as_rows(dy);
  const Tensor dx_rows = want_dx ? grads.dx.view(x_rows.shape()) : Tensor();
  const int64_t products = int64_t(want_dx) + int64_t(want_dweight);
  // The first output tells the dispatch the dtype and device.
  const Tensor& first = want_dx ? grads.dx : want_dweight ? grads.dweight : grads.dbias;
  static const Tensor kNone;
  const Tensor& second = want_dx && want_dweight ? grads.dweight : kNone;
  const Tensor& third = want_dbias && (want_dx || want_dweight) ? grads.dbias : kNone;
  detail::dispatch(
      {kOp, {&x, &weight, &dy}, {&first, &second, &third}, products * dy.numel() * weight.size(1)},
      KINTSUGI_BACKENDS(
          linear_backward(x_rows, weight, dy_rows, dx_rows, grads.dweight, grads.dbias)));
  return grads;
}

}  // namespace kintsugi::ops
