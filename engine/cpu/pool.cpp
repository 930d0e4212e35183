#include "kintsugi/engine/cpu/pool.h"

namespace kintsugi::cpu {

bool max_pool2d(const Tensor&, const ops::Pool2dParams&, const Tensor&, const Tensor&) {
  return false;
}
bool max_pool2d_backward(const Tensor&, const Tensor&, const ops::Pool2dParams&, const Tensor&) {
  return false;
}
bool avg_pool2d(const Tensor&, const ops::Pool2dParams&, const Tensor&) {
  return false;
}
bool avg_pool2d_backward(const Tensor&, const ops::Pool2dParams&, const Tensor&) {
  return false;
}
bool adaptive_avg_pool2d(const Tensor&, const Tensor&) {
  return false;
}
bool adaptive_avg_pool2d_backward(const Tensor&, const Tensor&) {
  return false;
}

}  // namespace kintsugi::cpu
