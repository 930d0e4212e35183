#include "kintsugi/autograd/ops/softmax.h"

#include "kintsugi/engine/ops/softmax.h"

namespace kintsugi::autograd {

Variable softmax(const Variable& x, int dim) {
  const Tensor y = ops::softmax(x.value(), dim);
  return differentiable("softmax", y, {x}, [y = Saved(y), dim](const Tensor& dy, const Wants&) {
    return Tensors{ops::softmax_backward(y.get(), dy, dim)};
  });
}

Variable log_softmax(const Variable& x, int dim) {
  const Tensor y = ops::log_softmax(x.value(), dim);
  return differentiable("log_softmax", y, {x}, [y = Saved(y), dim](const Tensor& dy, const Wants&) {
    return Tensors{ops::log_softmax_backward(y.get(), dy, dim)};
  });
}

}  // namespace kintsugi::autograd
