// Gradients in double against differences: central differences at three step widths, extrapolated to
// the sixth order (Richardson), so that 1e-8 can be asked for.
#pragma once

#include <functional>

#include "kintsugi/autograd/variable.h"
#include "tests/support/compare.h"

namespace kintsugi::test {

using autograd::Variable;

// sum(fn(inputs) * fixed random weights) is differentiated by every element of every input.
// Inputs must be f64. Keep away from kinks by more than `step`.
inline void check_gradients(const std::function<Variable(const std::vector<Variable>&)>& fn,
                            const std::vector<Tensor>& inputs, double tolerance = 1e-8,
                            double step = 1e-3) {
  std::vector<Variable> variables;
  for (const Tensor& x : inputs) variables.emplace_back(x.clone(), true);
  const Variable y = fn(variables);
  const Tensor weights = random_tensor(y.shape(), 4242);
  const auto w = weights.to_vector<double>();
  y.backward(weights);

  const auto objective = [&](size_t which, int64_t element, double delta) {
    autograd::NoGrad no_grad;
    std::vector<Variable> moved;
    for (size_t i = 0; i < inputs.size(); ++i) {
      Tensor x = inputs[i].clone();
      if (i == which) {
        Tensor flat = x.contiguous();
        flat.data<double>()[element] += delta;
        x.copy_from(flat);
      }
      moved.emplace_back(x);
    }
    const auto values = fn(moved).value().to_vector<double>();
    double sum = 0;
    for (size_t i = 0; i < values.size(); ++i) sum += values[i] * w[i];
    return sum;
  };
  for (size_t i = 0; i < inputs.size(); ++i) {
    REQUIRE(variables[i].grad().defined());
    const auto got = variables[i].grad().to_vector<double>();
    double scale = 1, error = 0;
    for (int64_t e = 0; e < inputs[i].numel(); ++e) {
      const auto central = [&](double h) {
        return (objective(i, e, h) - objective(i, e, -h)) / (2 * h);
      };
      const double d1 = central(step), d2 = central(step / 2), d4 = central(step / 4);
      const double r1 = (4 * d2 - d1) / 3, r2 = (4 * d4 - d2) / 3;
      const double want = (16 * r2 - r1) / 15;
      scale = std::max(scale, std::abs(want));
      error = std::max(error, std::abs(got[e] - want));
    }
    CHECK_MESSAGE(error / scale <= tolerance, "input " << i << ": error " << error / scale);
  }
}

}  // namespace kintsugi::test
