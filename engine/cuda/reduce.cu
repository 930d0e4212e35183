#include "kintsugi/engine/cuda/reduce.h"

namespace kintsugi::cuda {

bool reduce(ops::Reduce, const Tensor&, Tensor&) {
  return false;
}
bool extremum_backward(const Tensor&, const Tensor&, const Tensor&, Tensor&) {
  return false;
}
bool argmax(const Tensor&, int, Tensor&) {
  return false;
}

}  // namespace kintsugi::cuda
