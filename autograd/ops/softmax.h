// engine/ops/softmax.h over Variables.
#pragma once

#include "kintsugi/autograd/variable.h"

namespace kintsugi::autograd {

Variable softmax(const Variable& x, int dim);
Variable log_softmax(const Variable& x, int dim);

}  // namespace kintsugi::autograd
