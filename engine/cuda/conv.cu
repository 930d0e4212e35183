#include "kintsugi/engine/cuda/conv.h"

namespace kintsugi::cuda {

bool conv2d(const Tensor&, const Tensor&, const Tensor&, const ops::Conv2dParams&, const Tensor&) {
  return false;
}
bool conv2d_backward_input(const Tensor&, const Tensor&, const ops::Conv2dParams&, const Tensor&) {
  return false;
}
bool conv2d_backward_weight(const Tensor&, const Tensor&, const ops::Conv2dParams&, const Tensor&,
                            const Tensor&) {
  return false;
}

}  // namespace kintsugi::cuda
