#include "kintsugi/autograd/ops/pool.h"

#include <numeric>

#include "tests/support/gradcheck.h"

using namespace kintsugi;
using namespace kintsugi::test;
using autograd::Variable;
using ops::Pool2dParams;

namespace {

// Distinct values a tenth apart in a scattered order: no step of the check changes a winner.
Tensor distinct(const Shape& shape) {
  Tensor x = Tensor::empty(shape, DType::kF64);
  const int64_t n = x.numel();
  int64_t step = n / 2 + 1;
  while (std::gcd(step, n) != 1) ++step;
  for (int64_t i = 0; i < n; ++i) x.data<double>()[i] = 0.1 * double(i * step % n);
  return x;
}

std::vector<Pool2dParams> all_params() {
  std::vector<Pool2dParams> made{Pool2dParams::square(2, 2), Pool2dParams::square(3, 2, 1),
                                 Pool2dParams::square(3, 1, 1), Pool2dParams::square(1, 2)};
  Pool2dParams uneven;
  uneven.kernel = {2, 3};
  uneven.stride = {2, 1};
  uneven.padding = {1, 0, 0, 2};
  made.push_back(uneven);
  for (size_t i = 0, n = made.size(); i < n; ++i) {
    made.push_back(made[i]);
    made.back().ceil_mode = true;
    made.back().count_include_pad = false;
  }
  return made;
}

}  // namespace

TEST_CASE("autograd pool: gradients in double") {
  const Tensor x = distinct({2, 2, 5, 6});
  for (const Pool2dParams& params : all_params()) {
    check_gradients([&](const auto& v) { return autograd::max_pool2d(v[0], params); }, {x});
    check_gradients([&](const auto& v) { return autograd::avg_pool2d(v[0], params); },
                    {x.channels_last()});
  }
  for (const auto& [h, w] : {std::pair{1, 1}, {2, 4}, {5, 6}, {7, 3}}) {
    check_gradients([&](const auto& v) { return autograd::adaptive_avg_pool2d(v[0], h, w); }, {x});
  }
}

TEST_CASE("autograd pool: f32 kernels against f64, through the tape") {
  const Tensor x = distinct({2, 20, 9, 8});
  const auto compare = [&](const auto& fn) {
    const Variable narrow(x.to(DType::kF32), true), wide(x, true);
    const Variable y = fn(narrow);
    const Tensor dy = random_tensor(y.shape(), 5);
    y.backward(dy.to(DType::kF32));
    fn(wide).backward(dy);
    CHECK(narrow.grad().is_channels_last());
    CHECK(error_of(narrow.grad(), wide.grad()) < 1e-6);
  };
  for (const Pool2dParams& params : all_params()) {
    compare([&](const Variable& v) { return autograd::max_pool2d(v, params); });
    compare([&](const Variable& v) { return autograd::avg_pool2d(v, params); });
  }
  compare([](const Variable& v) { return autograd::adaptive_avg_pool2d(v, 1, 1); });
  compare([](const Variable& v) { return autograd::adaptive_avg_pool2d(v, 4, 3); });
}

TEST_CASE("autograd max_pool2d: its input may be overwritten before backward") {
  Tensor x = distinct({1, 1, 4, 4});
  const Variable leaf(x, true);
  const Variable y = autograd::max_pool2d(leaf, Pool2dParams::square(2, 2));
  x.fill(0);
  y.backward(Tensor::full(y.shape(), 1, DType::kF64));
  double sum = 0;
  for (const double g : leaf.grad().to_vector<double>()) sum += g;
  CHECK(sum == 4);
}
