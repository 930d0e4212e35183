#include "kintsugi/autograd/optim/clip.h"

#include <cmath>

#include "kintsugi/engine/ops/elementwise.h"
#include "kintsugi/engine/ops/reduce.h"

namespace kintsugi::autograd {

double clip_grad_norm(const Optimizer& optimizer, double max_norm) {
  double squares = 0;
  const auto each = [&](const auto& fn) {
    for (const ParamGroup& group : optimizer.groups()) {
      if (group.frozen) continue;
      for (const auto& [name, parameter] : group.params) {
        if (parameter.grad().defined()) fn(parameter);
      }
    }
  };
  each([&](const Variable& p) {
    squares += ops::sum(ops::unary(ops::Unary::kSquare, p.grad())).item();
  });
  const double norm = std::sqrt(squares);
  if (norm > max_norm) {
    each([&](Variable p) { p.set_grad(ops::affine(p.grad(), max_norm / norm, 0)); });
  }
  return norm;
}

}  // namespace kintsugi::autograd
