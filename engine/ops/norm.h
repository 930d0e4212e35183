// Normalisations. Weight and bias may be undefined (1 and 0). Variances are biased (1/n) but for
// the running variance of batch norm, which takes n/(n-1), as PyTorch.
#pragma once

#include "kintsugi/engine/core/tensor.h"

namespace kintsugi::ops {

struct NormGrads {
  Tensor dx, dweight, dbias;  // dweight and dbias undefined where weight and bias are
};

// Batch norm over x (N,C,H,W) or (N,C), statistics over all but C.
struct BatchNorm {
  Tensor output;
  Tensor mean, rstd;  // (C): of this batch
};
// Training: normalises with the batch's statistics; where running_mean and running_var are defined,
// r <- (1 - momentum) * r + momentum * batch, in place.
BatchNorm batch_norm_train(const Tensor& x, const Tensor& weight, const Tensor& bias,
                           Tensor running_mean, Tensor running_var, double momentum,
                           double epsilon);
NormGrads batch_norm_train_backward(const Tensor& x, const Tensor& weight, const Tensor& mean,
                                    const Tensor& rstd, const Tensor& dy, bool want_bias);
// Evaluation: normalises with the given statistics; its backward takes them as constants.
Tensor batch_norm_eval(const Tensor& x, const Tensor& weight, const Tensor& bias,
                       const Tensor& running_mean, const Tensor& running_var, double epsilon);
NormGrads batch_norm_eval_backward(const Tensor& x, const Tensor& weight,
                                   const Tensor& running_mean, const Tensor& running_var,
                                   const Tensor& dy, bool want_bias, double epsilon);

// Layer norm over the channels: the last dimension of (...,C), or C of a grid (N,C,H,W) when
// `channel_dim` is 1 (timm's LayerNorm2d). mean and rstd have one element a normalised row.
struct LayerNorm {
  Tensor output;
  Tensor mean, rstd;  // (rows)
};
LayerNorm layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double epsilon,
                     int channel_dim = -1);
NormGrads layer_norm_backward(const Tensor& x, const Tensor& weight, const Tensor& mean,
                              const Tensor& rstd, const Tensor& dy, bool want_bias,
                              int channel_dim = -1);

// Group norm of (N,C,H,W): statistics over each of `groups` runs of channels with all pixels.
struct GroupNorm {
  Tensor output;
  Tensor mean, rstd;  // (N*groups)
};
GroupNorm group_norm(const Tensor& x, int64_t groups, const Tensor& weight, const Tensor& bias,
                     double epsilon);
NormGrads group_norm_backward(const Tensor& x, int64_t groups, const Tensor& weight,
                              const Tensor& mean, const Tensor& rstd, const Tensor& dy,
                              bool want_bias);

}  // namespace kintsugi::ops
