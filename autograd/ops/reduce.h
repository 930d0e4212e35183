// Reductions with gradients; contracts as in kintsugi/engine/ops/reduce.h.
#pragma once

#include "kintsugi/autograd/variable.h"
#include "kintsugi/engine/ops/reduce.h"

namespace kintsugi::autograd {

Variable reduce(ops::Reduce op, const Variable& x, const Dims& dims = {}, bool keepdim = false);
inline Variable sum(const Variable& x, const Dims& dims = {}, bool keepdim = false) {
  return reduce(ops::Reduce::kSum, x, dims, keepdim);
}
inline Variable mean(const Variable& x, const Dims& dims = {}, bool keepdim = false) {
  return reduce(ops::Reduce::kMean, x, dims, keepdim);
}

}  // namespace kintsugi::autograd
