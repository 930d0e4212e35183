// Mixed precision (Micikevicius et al. 2018, with bf16 in place of f16 and so without loss scaling).
// Internal to autograd/ops; not installed.
#pragma once

#include "kintsugi/autograd/ops/layout.h"

namespace kintsugi::autograd {

// An operand of a product: under Math::kBF16 an f32 tensor on a device is cast to bf16. The result
// and what is made of it then lie in memory as bf16.
inline Variable autocast(const Variable& x) {
  const bool narrows = x.defined() && Context::current().math == Math::kBF16 &&
                       x.value().dtype() == DType::kF32 &&
                       x.value().device().type == DeviceType::kCuda;
  return narrows ? cast(x, DType::kBF16) : x;
}

// An operand of what is computed in f32 only.
inline Variable in_f32(const Variable& x) {
  return x.defined() && x.value().dtype() == DType::kBF16 ? cast(x, DType::kF32) : x;
}

}  // namespace kintsugi::autograd
