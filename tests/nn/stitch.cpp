#include "kintsugi/nn/blocks/stitch.h"

#include "kintsugi/nn/network.h"
#include "tests/support/compare.h"

using namespace kintsugi;
using namespace kintsugi::test;
using nn::FeatureShape;
using nn::StitchForm;

namespace {

Tensor apply(nn::Stitch& stitch, int64_t n) {
  Generator generator(5);
  stitch.initialise(generator);
  autograd::NoGrad no_grad;
  const Tensor x = random_tensor(stitch.in().tensor_shape(n), 3, -1, 1, DType::kF32);
  return stitch(nn::Variable(x)).value();
}

}  // namespace

TEST_CASE("stitch: all four modes, both forms, equal and different sizes") {
  const FeatureShape ends[] = {FeatureShape::grid(6, 8, 8), FeatureShape::grid(5, 4, 4),
                               FeatureShape::grid(7, 5, 3), FeatureShape::tokens(8, 4, 4, 1),
                               FeatureShape::tokens(4, 7, 7, 0)};
  for (const FeatureShape& in : ends) {
    for (const FeatureShape& out : ends) {
      for (const StitchForm form : {StitchForm::kDery, StitchForm::kLinear}) {
        nn::Stitch stitch(in, out, form);
        INFO(stitch.mode() << " " << name_of(form) << " " << in.h << " to " << out.h);
        CHECK(stitch.out().prefix_tokens == 0);
        const Tensor y = apply(stitch, 2);
        CHECK(y.shape() == stitch.out().tensor_shape(2));
        CHECK(std::string(stitch.mode()) ==
              std::string(name_of(in.kind)) + "2" + name_of(out.kind));
      }
    }
  }
}

TEST_CASE("stitch: the reference's parameters") {
  // DeRy(4,50,10)'s stitches: norm, k x k convolution of stride k without bias.
  nn::Stitch strided(FeatureShape::grid(256, 56, 56), FeatureShape::grid(216, 28, 28),
                     StitchForm::kDery);
  CHECK(strided.stride() == 2);
  CHECK(strided.parameter_count() == 2 * 256 + 256 * 216 * 4);
  nn::Stitch tokens(FeatureShape::tokens(192, 14, 14, 1), FeatureShape::tokens(384, 14, 14, 1),
                    StitchForm::kDery);
  CHECK(tokens.parameter_count() == 2 * 192 + 192 * 384);
  nn::Stitch linear(FeatureShape::grid(16, 8, 8), FeatureShape::grid(32, 4, 4), StitchForm::kLinear);
  CHECK(linear.stride() == 1);
  CHECK(linear.parameter_count() == 16 * 32 + 32);
  CHECK(nn::cost_of(linear, {1, 16, 8, 8}).macs == 16 * 16 * 32);
}

TEST_CASE("stitch: a projection is taken exactly by the linear form") {
  for (const auto& [in, out] :
       {std::pair{FeatureShape::grid(3, 4, 4), FeatureShape::grid(2, 4, 4)},
        std::pair{FeatureShape::tokens(3, 4, 4, 1), FeatureShape::tokens(2, 4, 4, 0)},
        std::pair{FeatureShape::tokens(3, 4, 4, 1), FeatureShape::grid(2, 2, 2)}}) {
    nn::Stitch stitch(in, out, StitchForm::kLinear);
    Generator generator(5);
    stitch.initialise(generator);
    const Tensor weight = random_tensor({2, 3}, 1), bias = random_tensor({2}, 2);
    stitch.set_projection(weight, bias, Tensor::zeros({3}), Tensor::full({3}, 1));
    const nn::Variable x(random_tensor(in.tensor_shape(2), 3, -1, 1, DType::kF32));
    autograd::NoGrad no_grad;
    const auto rows = stitch.rows(x).to_vector<double>();
    const Tensor got = stitch(x).value();
    // (N,H*W,C) whatever the kind.
    const auto y = (got.rank() == 4 ? got.permute({0, 2, 3, 1}) : got).to_vector<double>();
    const auto w = weight.to_vector<double>(), b = bias.to_vector<double>();
    REQUIRE(y.size() == rows.size() / 3 * 2);
    for (size_t r = 0; r < rows.size() / 3; ++r) {
      for (size_t o = 0; o < 2; ++o) {
        double want = b[o];
        for (size_t i = 0; i < 3; ++i) want += w[o * 3 + i] * rows[r * 3 + i];
        CHECK(std::abs(y[r * 2 + o] - want) < 1e-5);
      }
    }
  }
}

TEST_CASE("stitch: the dery form takes a projection around the mean") {
  const FeatureShape in = FeatureShape::grid(3, 6, 6), out = FeatureShape::grid(2, 3, 3);
  nn::Stitch stitch(in, out, StitchForm::kDery);
  REQUIRE(stitch.stride() == 2);
  Generator generator(5);
  stitch.initialise(generator);
  const Tensor weight = random_tensor({2, 12}, 1, 0.1, 1);
  const Tensor mean = Tensor::full({3}, 0.25), variance = Tensor::full({3}, 4);
  stitch.set_projection(weight, Tensor::zeros({2}), mean, variance);
  const nn::Variable x(random_tensor(in.tensor_shape(1), 3, 1, 2, DType::kF32));
  autograd::NoGrad no_grad;
  const auto rows = stitch.rows(x).to_vector<double>(), w = weight.to_vector<double>();
  const auto y = stitch(x).value().permute({0, 2, 3, 1}).to_vector<double>();
  for (size_t r = 0; r < 9; ++r) {
    for (size_t o = 0; o < 2; ++o) {
      double want = 0;
      for (size_t i = 0; i < 12; ++i) want += w[o * 12 + i] * (rows[r * 12 + i] - 0.25);
      CHECK(std::abs(y[r * 2 + o] - want) < 1e-4);  // positive: the activation passes it
    }
  }
  CHECK_ERROR(stitch.set_projection(Tensor::zeros({2, 3}), mean, mean, mean), "expected (2,12)");
}

TEST_CASE("stitch: a stride that is told leaves the rest of a grid over") {
  const FeatureShape in = FeatureShape::grid(3, 7, 5), out = FeatureShape::grid(2, 3, 2);
  nn::Stitch drawn(in, out, StitchForm::kDery, 2), fitting(in, out, StitchForm::kDery);
  CHECK(drawn.stride() == 2);
  CHECK(fitting.stride() == 1);
  Generator generator(5);
  drawn.initialise(generator);
  drawn.train(false);
  autograd::NoGrad no_grad;
  const Tensor x = random_tensor(in.tensor_shape(2), 3, -1, 1, DType::kF32);
  const Tensor y = drawn(nn::Variable(x)).value();
  REQUIRE(y.shape() == out.tensor_shape(2));
  const Tensor cropped = x.slice(2, 0, 6).slice(3, 0, 4).contiguous();
  CHECK(error_of(y, drawn(nn::Variable(cropped)).value()) < 1e-6);
}

TEST_CASE("stitch: forms by name") {
  CHECK(nn::stitch_form("dery") == StitchForm::kDery);
  CHECK_ERROR(nn::stitch_form("liner"), "expected 'dery' or 'linear'");
}
