// engine/ops/attention.h over Variables.
#pragma once

#include "kintsugi/autograd/variable.h"

namespace kintsugi::autograd {

// The output (B,H,N,E), in memory (B,N,H,E). bias may be undefined.
Variable attention(const Variable& q, const Variable& k, const Variable& v, const Variable& bias,
                   double scale);

}  // namespace kintsugi::autograd
