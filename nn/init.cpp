#include "kintsugi/nn/init.h"

#include <cmath>

namespace kintsugi::nn::init {

Init constant(double value) {
  return [value](Tensor& x, Generator&) { x.fill(value); };
}

Init trunc_normal(double std) {
  return [std](Tensor& x, Generator& g) { g.truncated_normal(x, 0, std, -2, 2); };
}

Init kaiming_normal_fan_out(int64_t groups) {
  return [groups](Tensor& x, Generator& g) {
    const double fan_out = double(x.size(0)) * double(x.size(2) * x.size(3)) / double(groups);
    g.normal(x, 0, std::sqrt(2.0 / fan_out));
  };
}

Init uniform_fan_in(int64_t fan_in) {
  const double bound = 1.0 / std::sqrt(double(fan_in));
  return [bound](Tensor& x, Generator& g) { g.uniform(x, -bound, bound); };
}

Init normal(double std) {
  return [std](Tensor& x, Generator& g) { g.normal(x, 0, std); };
}

}  // namespace kintsugi::nn::init
