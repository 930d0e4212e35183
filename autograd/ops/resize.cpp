#include "kintsugi/autograd/ops/resize.h"

namespace kintsugi::autograd {

Variable resize2d(const Variable& x, int64_t out_h, int64_t out_w, ops::Interpolation interpolation) {
  return differentiable("resize2d", ops::resize2d(x.value(), out_h, out_w, interpolation), {x},
                        [shape = x.shape(), interpolation](const Tensor& dy, const Wants&) {
                          return Tensors{ops::resize2d_backward(dy, shape, interpolation)};
                        });
}

}  // namespace kintsugi::autograd
