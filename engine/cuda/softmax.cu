#include "kintsugi/engine/cuda/softmax.h"

namespace kintsugi::cuda {

bool softmax(const Tensor&, int, bool, const Tensor&) {
  return false;
}
bool softmax_backward(const Tensor&, const Tensor&, int, bool, const Tensor&) {
  return false;
}

}  // namespace kintsugi::cuda
