// Never installed.
#pragma once

#include "kintsugi/engine/core/dtype.h"

namespace kintsugi::detail {

// Calls `fn` with a value of the C++ type that holds a dtype.
template <class F>
void visit_dtype(DType dtype, F&& fn) {
  switch (dtype) {
    case DType::kF32:
      return fn(float{});
    case DType::kF64:
      return fn(double{});
    case DType::kF16:
      return fn(Half{});
    case DType::kBF16:
      return fn(BFloat16{});
    case DType::kI64:
      return fn(int64_t{});
    case DType::kI32:
      return fn(int32_t{});
    case DType::kU8:
      return fn(uint8_t{});
    case DType::kBool:
      return fn(bool{});
  }
}

}  // namespace kintsugi::detail
