#include "kintsugi/engine/cuda/matmul.h"

namespace kintsugi::cuda {

bool matmul(const Tensor&, const Tensor&, const Tensor&) {
  return false;
}
bool linear(const Tensor&, const Tensor&, const Tensor&, const Tensor&) {
  return false;
}
bool linear_backward(const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                     const Tensor&) {
  return false;
}

}  // namespace kintsugi::cuda
