// engine/ops/norm.h over Variables. Weight and bias may be undefined.
#pragma once

#include "kintsugi/autograd/variable.h"

namespace kintsugi::autograd {

// Training moves the running statistics where they are defined, but not when a checkpointed block
// runs a second time; evaluation takes them as constants.
Variable batch_norm(const Variable& x, const Variable& weight, const Variable& bias,
                    Tensor running_mean, Tensor running_var, bool training, double momentum,
                    double epsilon);
Variable layer_norm(const Variable& x, const Variable& weight, const Variable& bias, double epsilon,
                    int channel_dim = -1);
Variable group_norm(const Variable& x, int64_t groups, const Variable& weight, const Variable& bias,
                    double epsilon);

}  // namespace kintsugi::autograd
