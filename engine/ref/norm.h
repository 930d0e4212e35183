// Plain normalisations: oracle and fallback. Never installed.
//
// x, y, dy and dx are contiguous rows of channels: a grid (N,C,H,W) comes as (N*H*W,C), for group
// norm as (N,H*W,C). Weight and bias are contiguous or undefined; undefined results are left out.
#pragma once

#include "kintsugi/engine/core/tensor.h"

namespace kintsugi::ref {

void batch_norm_train(const Tensor& x, const Tensor& weight, const Tensor& bias,
                      const Tensor& running_mean, const Tensor& running_var, double momentum,
                      double epsilon, const Tensor& y, const Tensor& mean, const Tensor& rstd);
void batch_norm_train_backward(const Tensor& x, const Tensor& weight, const Tensor& mean,
                               const Tensor& rstd, const Tensor& dy, const Tensor& dx,
                               const Tensor& dweight, const Tensor& dbias);
void batch_norm_eval(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& mean,
                     const Tensor& variance, double epsilon, const Tensor& y);
void batch_norm_eval_backward(const Tensor& x, const Tensor& weight, const Tensor& mean,
                              const Tensor& variance, double epsilon, const Tensor& dy,
                              const Tensor& dx, const Tensor& dweight, const Tensor& dbias);

void layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double epsilon,
                const Tensor& y, const Tensor& mean, const Tensor& rstd);
void layer_norm_backward(const Tensor& x, const Tensor& weight, const Tensor& mean,
                         const Tensor& rstd, const Tensor& dy, const Tensor& dx,
                         const Tensor& dweight, const Tensor& dbias);

void group_norm(const Tensor& x, int64_t groups, const Tensor& weight, const Tensor& bias,
                double epsilon, const Tensor& y, const Tensor& mean, const Tensor& rstd);
void group_norm_backward(const Tensor& x, int64_t groups, const Tensor& weight, const Tensor& mean,
                         const Tensor& rstd, const Tensor& dy, const Tensor& dx,
                         const Tensor& dweight, const Tensor& dbias);

}  // namespace kintsugi::ref
