#include "kintsugi/engine/ops/reduce.h"

#include "kintsugi/engine/cpu/reduce.h"
#include "kintsugi/engine/cuda/reduce.h"
#include "kintsugi/engine/ops/dispatch.h"
#include "kintsugi/engine/ops/order.h"
#include "kintsugi/engine/ref/reduce.h"

namespace kintsugi::ops {

namespace {

const char* name_of(Reduce op) {
  constexpr const char* kNames[] = {"sum", "mean", "max", "min"};
  return kNames[static_cast<int>(op)];
}

}  // namespace

Tensor reduce(Reduce op, const Tensor& x, const Dims& dims, bool keepdim) {
  const char* name = name_of(op);
  detail::require_floating(name, x);
  Shape kept = dims.rank() == 0 ? Shape::filled(x.rank(), 1) : x.shape();
  bool reduced[kMaxRank] = {};
  for (const int64_t d : dims) {
    const int dim = normalise_dim(name, int(d), x.rank());
    if (reduced[dim]) fail(ErrorKind::kShape, name, ": dimension ", dim, " is listed twice");
    reduced[dim] = true;
    kept[dim] = 1;
  }
  if (op != Reduce::kSum && x.numel() == 0 && kept.numel() != 0) {
    fail(ErrorKind::kShape, name, ": got shape ", x.shape(), ", expected at least one element");
  }
  const bool grid = keepdim && x.is_channels_last();
  Tensor y = Tensor::empty(kept, x.dtype(), x.device(),
                           grid ? MemoryFormat::kChannelsLast : MemoryFormat::kRowMajor);
  Tensor result = y;
  if (!keepdim) {
    Shape shape;
    for (int i = 0; i < x.rank(); ++i) {
      if (dims.rank() != 0 && !reduced[i]) shape.push_back(x.size(i));
    }
    result = y.view(shape);
  }
  detail::dispatch({name, {&x}, {&result}}, KINTSUGI_BACKENDS(reduce(op, x, y)));
  return result;
}

Tensor sum_to(const Tensor& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  const int extra = x.rank() - shape.rank();
  Dims dims;
  for (int i = 0; i < x.rank(); ++i) {
    const int64_t wanted = i < extra ? 1 : shape[i - extra];
    if (extra < 0 || (wanted != x.size(i) && wanted != 1)) {
      fail(ErrorKind::kShape, "sum_to: shape ", x.shape(), " is no broadcast of ", shape);
    }
    if (i < extra || (wanted == 1 && x.size(i) != 1)) dims.push_back(i);
  }
  if (extra < 0) {
    fail(ErrorKind::kShape, "sum_to: shape ", x.shape(), " is no broadcast of ", shape);
  }
  if (extra == 0) return reduce(Reduce::kSum, x, dims, true);
  // Leading dimensions go; listed ones among the rest stay with extent 1.
  const Tensor kept = reduce(Reduce::kSum, x, dims, true);
  return kept.contiguous().view(shape);
}

Tensor extremum_backward(const Tensor& x, const Tensor& y, const Tensor& dy) {
  detail::require_floating("extremum_backward", x);
  detail::require_same_dtype("extremum_backward", x, y);
  detail::require_same_dtype("extremum_backward", x, dy);
  detail::require_shape("extremum_backward", "dy", dy, y.shape());
  if (y.rank() != x.rank() ||
      !(broadcast_shapes("extremum_backward", x.shape(), y.shape()) == x.shape())) {
    fail(ErrorKind::kShape, "extremum_backward: y has shape ", y.shape(), ", expected ", x.shape(),
         " with ones where it was reduced");
  }
  Tensor dx = detail::empty_in_order_of(x);
  detail::dispatch({"extremum_backward", {&x, &y, &dy}, {&dx}},
                   KINTSUGI_BACKENDS(extremum_backward(x, y, dy, dx)));
  return dx;
}

Tensor argmax(const Tensor& x, int dim) {
  detail::require_floating("argmax", x);
  dim = normalise_dim("argmax", dim, x.rank());
  Shape shape = x.shape();
  shape.erase(dim);
  if (x.size(dim) == 0 && shape.numel() != 0) {
    fail(ErrorKind::kShape, "argmax: got shape ", x.shape(), ", expected at least one element");
  }
  Tensor y = Tensor::empty(shape, DType::kI64, x.device());
  detail::dispatch({"argmax", {&x}, {&y}}, KINTSUGI_BACKENDS(argmax(x, dim, y)));
  return y;
}

}  // namespace kintsugi::ops
