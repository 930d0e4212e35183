#include "kintsugi/engine/ops/resize.h"

#include "kintsugi/engine/cpu/resize.h"
#include "kintsugi/engine/cuda/resize.h"
#include "kintsugi/engine/ops/dispatch.h"
#include "kintsugi/engine/ref/resize.h"

namespace kintsugi::ops {

Tensor resize2d(const Tensor& x, int64_t out_h, int64_t out_w, Interpolation interpolation) {
  detail::require_rank("resize2d", x, 4, "(N,C,H,W)");
  detail::require_floating("resize2d", x);
  if (out_h < 1 || out_w < 1 || x.size(2) < 1 || x.size(3) < 1) {
    fail(ErrorKind::kShape, "resize2d: got ", x.shape(), " to ", out_h, "x", out_w,
         ", expected sizes of at least 1");
  }
  Tensor y = Tensor::empty({x.size(0), x.size(1), out_h, out_w}, x.dtype(), x.device(),
                           MemoryFormat::kChannelsLast);
  detail::dispatch({"resize2d", {&x}, {&y}}, KINTSUGI_BACKENDS(resize2d(x, interpolation, y)));
  return y;
}

Tensor resize2d_backward(const Tensor& dy, const Shape& x_shape, Interpolation interpolation) {
  detail::require_rank("resize2d_backward", dy, 4, "(N,C,H,W)");
  detail::require_floating("resize2d_backward", dy);
  if (x_shape.rank() != 4 || x_shape[0] != dy.size(0) || x_shape[1] != dy.size(1) ||
      x_shape[2] < 1 || x_shape[3] < 1) {
    fail(ErrorKind::kShape, "resize2d_backward: got x of shape ", x_shape, " for dy of shape ",
         dy.shape());
  }
  Tensor dx = Tensor::empty(x_shape, dy.dtype(), dy.device(), MemoryFormat::kChannelsLast);
  detail::dispatch({"resize2d_backward", {&dy}, {&dx}},
                   KINTSUGI_BACKENDS(resize2d_backward(dy, interpolation, dx)));
  return dx;
}

}  // namespace kintsugi::ops
