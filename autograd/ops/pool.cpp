#include "kintsugi/autograd/ops/pool.h"

namespace kintsugi::autograd {

Variable max_pool2d(const Variable& x, const ops::Pool2dParams& params) {
  const ops::MaxPool made = ops::max_pool2d(x.value(), params);
  return differentiable(
      "max_pool2d", made.output, {x},
      [indices = made.indices, x_shape = x.shape(), params](const Tensor& dy, const Wants&) {
        return Tensors{ops::max_pool2d_backward(dy, indices, x_shape, params)};
      });
}

Variable avg_pool2d(const Variable& x, const ops::Pool2dParams& params) {
  return differentiable("avg_pool2d", ops::avg_pool2d(x.value(), params), {x},
                        [x_shape = x.shape(), params](const Tensor& dy, const Wants&) {
                          return Tensors{ops::avg_pool2d_backward(dy, x_shape, params)};
                        });
}

Variable adaptive_avg_pool2d(const Variable& x, int64_t out_h, int64_t out_w) {
  return differentiable("adaptive_avg_pool2d", ops::adaptive_avg_pool2d(x.value(), out_h, out_w),
                        {x}, [x_shape = x.shape()](const Tensor& dy, const Wants&) {
                          return Tensors{ops::adaptive_avg_pool2d_backward(dy, x_shape)};
                        });
}

}  // namespace kintsugi::autograd
