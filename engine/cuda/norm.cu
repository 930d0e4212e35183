#include "kintsugi/engine/cuda/norm.h"

namespace kintsugi::cuda {

bool batch_norm_train(const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                      double, double, const Tensor&, const Tensor&, const Tensor&) {
  return false;
}
bool batch_norm_train_backward(const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                               const Tensor&, const Tensor&, const Tensor&, const Tensor&) {
  return false;
}
bool batch_norm_eval(const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                     double, const Tensor&) {
  return false;
}
bool batch_norm_eval_backward(const Tensor&, const Tensor&, const Tensor&, const Tensor&, double,
                              const Tensor&, const Tensor&, const Tensor&, const Tensor&) {
  return false;
}
bool layer_norm(const Tensor&, const Tensor&, const Tensor&, double, const Tensor&, const Tensor&,
                const Tensor&) {
  return false;
}
bool layer_norm_backward(const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                         const Tensor&, const Tensor&, const Tensor&) {
  return false;
}
bool group_norm(const Tensor&, int64_t, const Tensor&, const Tensor&, double, const Tensor&,
                const Tensor&, const Tensor&) {
  return false;
}
bool group_norm_backward(const Tensor&, int64_t, const Tensor&, const Tensor&, const Tensor&,
                         const Tensor&, const Tensor&, const Tensor&, const Tensor&) {
  return false;
}

}  // namespace kintsugi::cuda
