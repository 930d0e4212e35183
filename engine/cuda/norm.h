// Normalisations of f32 or bf16, sums in double. Operands as in engine/ref/norm.h; false for other
// dtypes. Never installed.
#pragma once

#include "kintsugi/engine/core/tensor.h"

namespace kintsugi::cuda {

bool batch_norm_train(const Tensor& x, const Tensor& weight, const Tensor& bias,
                      const Tensor& running_mean, const Tensor& running_var, double momentum,
                      double epsilon, const Tensor& y, const Tensor& mean, const Tensor& rstd);
bool batch_norm_train_backward(const Tensor& x, const Tensor& weight, const Tensor& mean,
                               const Tensor& rstd, const Tensor& dy, const Tensor& dx,
                               const Tensor& dweight, const Tensor& dbias);
bool batch_norm_eval(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& mean,
                     const Tensor& variance, double epsilon, const Tensor& y);
bool batch_norm_eval_backward(const Tensor& x, const Tensor& weight, const Tensor& mean,
                              const Tensor& variance, double epsilon, const Tensor& dy,
                              const Tensor& dx, const Tensor& dweight, const Tensor& dbias);

bool layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double epsilon,
                const Tensor& y, const Tensor& mean, const Tensor& rstd);
bool layer_norm_backward(const Tensor& x, const Tensor& weight, const Tensor& mean,
                         const Tensor& rstd, const Tensor& dy, const Tensor& dx,
                         const Tensor& dweight, const Tensor& dbias);

bool group_norm(const Tensor& x, int64_t groups, const Tensor& weight, const Tensor& bias,
                double epsilon, const Tensor& y, const Tensor& mean, const Tensor& rstd);
bool group_norm_backward(const Tensor& x, int64_t groups, const Tensor& weight, const Tensor& mean,
                         const Tensor& rstd, const Tensor& dy, const Tensor& dx,
                         const Tensor& dweight, const Tensor& dbias);

}  // namespace kintsugi::cuda
