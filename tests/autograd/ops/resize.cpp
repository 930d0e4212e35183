#include "kintsugi/autograd/ops/resize.h"

#include "tests/support/gradcheck.h"

using namespace kintsugi;
using namespace kintsugi::test;
using ops::Interpolation;

TEST_CASE("resize gradients: every interpolation, up and down") {
  const Tensor x = random_tensor({2, 2, 3, 4}, 1);
  for (const auto how :
       {Interpolation::kNearest, Interpolation::kBilinear, Interpolation::kBicubic}) {
    for (const auto& [h, w] : {std::pair{5, 7}, {2, 2}, {3, 4}, {1, 9}, {6, 1}}) {
      check_gradients([&](const auto& in) { return autograd::resize2d(in[0], h, w, how); }, {x});
      check_gradients([&](const auto& in) { return autograd::resize2d(in[0], h, w, how); },
                      {x.channels_last()});
    }
  }
}
