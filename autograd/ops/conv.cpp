#include "kintsugi/autograd/ops/conv.h"

#include "kintsugi/autograd/ops/autocast.h"
#include "kintsugi/engine/ops/elementwise.h"
#include "kintsugi/engine/ops/reduce.h"

namespace kintsugi::autograd {

Variable conv2d(const Variable& input_x, const Variable& weight, const Variable& bias,
                const ops::Conv2dParams& params) {
  const Variable x = autocast(input_x);
  const Tensor y = ops::conv2d(x.value(), weight.value(), bias.value(), params);
  // dx reads the weight, dweight reads x: what is not going to be read is not kept.
  Saved input, kernel, result;
  if (weight.requires_grad()) input = Saved(x.value());
  if (x.requires_grad()) kernel = Saved(weight.value());
  if (params.relu) result = Saved(y);
  return differentiable("conv2d", y, {x, weight, bias},
                        [input, kernel, result, params, x_shape = x.shape(), weight_shape = weight.shape()](
                            const Tensor& dy, const Wants& wants) {
                          Tensors grads(3);
                          // Both gradients read dy: its order in memory is put right once.
                          Tensor gradient = dy.channels_last();
                          if (params.relu) {
                            const Tensor& y = result.get();  // > 0 where what it was taken of is
                            gradient = ops::unary_backward(ops::Unary::kRelu, y, y, gradient);
                          }
                          if (wants[0]) {
                            grads[0] =
                                ops::conv2d_backward_input(gradient, kernel.get(), x_shape, params);
                          }
                          if (wants[1]) {
                            ops::ConvWeightGrads made = ops::conv2d_backward_weight(
                                input.get(), gradient, weight_shape, wants[2], params);
                            grads[1] = std::move(made.dweight);
                            grads[2] = std::move(made.dbias);
                          } else if (wants[2]) {
                            grads[2] = ops::sum(gradient, {0, 2, 3}, false);
                          }
                          return grads;
                        });
}

}  // namespace kintsugi::autograd
