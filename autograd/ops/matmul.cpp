#include "kintsugi/autograd/ops/matmul.h"

#include "kintsugi/autograd/ops/autocast.h"
#include "kintsugi/engine/ops/matmul.h"
#include "kintsugi/engine/ops/reduce.h"

namespace kintsugi::autograd {

namespace {

Tensor summed_to(const Tensor& grad, const Shape& shape) {
  return grad.shape() == shape ? grad : ops::sum_to(grad, shape);
}

// (...,M,K)^T * (...,M,N), summed over the batch by taking it as more rows.
Tensor product_of_rows(const Tensor& a, const Tensor& dy) {
  const Tensor left = a.contiguous().view({-1, a.size(-1)});
  const Tensor right = dy.contiguous().view({-1, dy.size(-1)});
  return ops::matmul(left.transpose(0, 1), right);
}

}  // namespace

Variable matmul(const Variable& left_operand, const Variable& right_operand) {
  const Variable a = autocast(left_operand), b = autocast(right_operand);
  const Tensor y = ops::matmul(a.value(), b.value());
  return differentiable(
      "matmul", y, {a, b},
      [a = Saved(a.value()), b = Saved(b.value())](const Tensor& dy, const Wants& wants) {
        Tensors grads(2);
        const Tensor &left = a.get(), &right = b.get();
        if (wants[0]) {
          grads[0] = summed_to(ops::matmul(dy, right.transpose(-2, -1)), left.shape());
        }
        if (wants[1]) {
          const bool shared = right.rank() == 2 && left.rank() > 2 && left.numel() > 0;
          grads[1] = shared ? product_of_rows(left, dy)
                            : summed_to(ops::matmul(left.transpose(-2, -1), dy), right.shape());
        }
        return grads;
      });
}

Variable linear(const Variable& input, const Variable& weight, const Variable& bias) {
  const Variable x = autocast(input);
  const Tensor y = ops::linear(x.value(), weight.value(), bias.value());
  return differentiable(
      "linear", y, {x, weight, bias},
      [x = Saved(x.value()), weight = Saved(weight.value())](const Tensor& dy, const Wants& wants) {
        const ops::LinearGrads grads =
            ops::linear_backward(x.get(), weight.get(), dy, wants[0], wants[1], wants[2]);
        return Tensors{grads.dx, grads.dweight, grads.dbias};
      });
}

}  // namespace kintsugi::autograd
