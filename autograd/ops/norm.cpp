#include "kintsugi/autograd/ops/norm.h"

#include "kintsugi/engine/ops/norm.h"

namespace kintsugi::autograd {

namespace {

Tensors as_list(const ops::NormGrads& grads) {
  return {grads.dx, grads.dweight, grads.dbias};
}

Variable batch_norm_train(const Variable& x, const Variable& weight, const Variable& bias,
                          const Tensor& running_mean, const Tensor& running_var, double momentum,
                          double epsilon) {
  const bool move = !Context::current().recomputing;
  const ops::BatchNorm y =
      ops::batch_norm_train(x.value(), weight.value(), bias.value(), move ? running_mean : Tensor(),
                            move ? running_var : Tensor(), momentum, epsilon);
  return differentiable("batch_norm", y.output, {x, weight, bias},
                        [x = Saved(x.value()), weight = Saved(weight.value()), mean = y.mean,
                         rstd = y.rstd](const Tensor& dy, const Wants& wants) {
                          return as_list(ops::batch_norm_train_backward(x.get(), weight.get(), mean,
                                                                        rstd, dy, wants[2]));
                        });
}

}  // namespace

Variable batch_norm(const Variable& x, const Variable& weight, const Variable& bias,
                    Tensor running_mean, Tensor running_var, bool training, double momentum,
                    double epsilon) {
  if (training) {
    return batch_norm_train(x, weight, bias, running_mean, running_var, momentum, epsilon);
  }
  const Tensor y = ops::batch_norm_eval(x.value(), weight.value(), bias.value(), running_mean,
                                        running_var, epsilon);
  return differentiable(
      "batch_norm", y, {x, weight, bias},
      [x = Saved(x.value()), weight = Saved(weight.value()), mean = Saved(running_mean),
       variance = Saved(running_var), epsilon](const Tensor& dy, const Wants& wants) {
        return as_list(ops::batch_norm_eval_backward(x.get(), weight.get(), mean.get(),
                                                     variance.get(), dy, wants[2], epsilon));
      });
}

Variable layer_norm(const Variable& x, const Variable& weight, const Variable& bias, double epsilon,
                    int channel_dim) {
  const ops::LayerNorm y =
      ops::layer_norm(x.value(), weight.value(), bias.value(), epsilon, channel_dim);
  return differentiable("layer_norm", y.output, {x, weight, bias},
                        [x = Saved(x.value()), weight = Saved(weight.value()), mean = y.mean,
                         rstd = y.rstd, channel_dim](const Tensor& dy, const Wants& wants) {
                          return as_list(ops::layer_norm_backward(x.get(), weight.get(), mean, rstd,
                                                                  dy, wants[2], channel_dim));
                        });
}

Variable group_norm(const Variable& x, int64_t groups, const Variable& weight, const Variable& bias,
                    double epsilon) {
  const ops::GroupNorm y =
      ops::group_norm(x.value(), groups, weight.value(), bias.value(), epsilon);
  return differentiable("group_norm", y.output, {x, weight, bias},
                        [x = Saved(x.value()), weight = Saved(weight.value()), mean = y.mean,
                         rstd = y.rstd, groups](const Tensor& dy, const Wants& wants) {
                          return as_list(ops::group_norm_backward(x.get(), groups, weight.get(),
                                                                  mean, rstd, dy, wants[2]));
                        });
}

}  // namespace kintsugi::autograd
