// Rows are copied and added as the plain loops do it. Never installed.
#pragma once

#include "kintsugi/engine/ref/layout.h"

namespace kintsugi::cpu {

inline bool gather(const Tensor& x, int dim, const Tensor& indices, const Tensor& y) {
  ref::gather(x, dim, indices, y);
  return true;
}
inline bool gather_backward(const Tensor& dy, int dim, const Tensor& indices, const Tensor& dx) {
  ref::gather_backward(dy, dim, indices, dx);
  return true;
}

}  // namespace kintsugi::cpu
