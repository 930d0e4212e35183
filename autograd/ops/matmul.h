// engine/ops/matmul.h over Variables.
#pragma once

#include "kintsugi/autograd/variable.h"

namespace kintsugi::autograd {

Variable matmul(const Variable& a, const Variable& b);
// bias may be undefined.
Variable linear(const Variable& x, const Variable& weight, const Variable& bias);

}  // namespace kintsugi::autograd
