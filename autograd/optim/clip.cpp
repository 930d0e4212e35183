#include "kintsugi/autograd/optim/clip.h"

#include <cmath>

#include "kintsugi/engine/ops/elementwise.h"
#include "kintsugi/engine/ops/layout.h"
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
  // Read in one piece: a device is waited for once.
  std::vector<Tensor> sums;
  each([&](const Variable& p) {
    sums.push_back(ops::sum(ops::unary(ops::Unary::kSquare, p.grad())).view({1}));
  });
  if (sums.empty()) return 0;
  for (const double sum : ops::concat(sums, 0).to_vector<double>()) squares += sum;
  const double norm = std::sqrt(squares);
  if (norm > max_norm) {
    each([&](Variable p) { p.set_grad(ops::affine(p.grad(), max_norm / norm, 0)); });
  }
  return norm;
}

}  // namespace kintsugi::autograd
