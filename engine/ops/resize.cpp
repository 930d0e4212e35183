#include "kintsugi/engine/ops/resize.h"

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
  const Tensor y = Tensor::empty({x.size(0), x.size(1), out_h, out_w}, x.dtype(), x.device(),
                                 MemoryFormat::kChannelsLast);
  detail::dispatch({"resize2d", {&x}, {&y}}, [&] { ref::resize2d(x, y, interpolation); });
  return y;
}

Tensor resize2d_backward(const Tensor& dy, const Shape& x_shape, Interpolation interpolation) {
  detail::require_rank("resize2d_backward", dy, 4, "(N,C,H,W)");
  const Tensor dx = Tensor::empty(x_shape, dy.dtype(), dy.device(), MemoryFormat::kChannelsLast);
  detail::dispatch({"resize2d_backward", {&dy}, {&dx}},
                   [&] { ref::resize2d_backward(dy, dx, interpolation); });
  return dx;
}

}  // namespace kintsugi::ops
