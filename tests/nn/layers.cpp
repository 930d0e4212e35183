// Layers that few families need, against plain loops written for the test.
#include "kintsugi/autograd/ops/elementwise.h"
#include "kintsugi/autograd/ops/reduce.h"
#include "kintsugi/nn/blocks/regnet.h"
#include "kintsugi/nn/blocks/resnet.h"
#include "kintsugi/nn/blocks/resnetv2.h"
#include "kintsugi/nn/layers/blur_pool.h"
#include "kintsugi/nn/layers/channel_attention.h"
#include "kintsugi/nn/layers/standardised_conv.h"
#include "tests/support/compare.h"

using namespace kintsugi;
using kintsugi::test::random_tensor;

namespace {

Tensor run(nn::Module& module, const Tensor& x) {
  autograd::NoGrad no_grad;
  return module(nn::Variable(x)).value();
}

int64_t mirrored(int64_t i, int64_t size) {
  return i < 0 ? -i : i >= size ? 2 * size - 2 - i : i;
}

}  // namespace

TEST_CASE("layers: blur pooling is a binomial filter over a mirrored border") {
  const Tensor x = random_tensor({2, 3, 5, 6}, 1, -1, 1, DType::kF32);
  const auto in = x.to_vector<double>();
  nn::BlurPool2d blur;
  const Tensor y = run(blur, x);
  REQUIRE(y.shape() == Shape{2, 3, 3, 3});
  const auto got = y.to_vector<double>();
  const double taps[] = {0.25, 0.5, 0.25};
  for (int64_t plane = 0; plane < 6; ++plane) {
    for (int64_t r = 0; r < 3; ++r) {
      for (int64_t c = 0; c < 3; ++c) {
        double want = 0;
        for (int64_t i = 0; i < 3; ++i) {
          for (int64_t j = 0; j < 3; ++j) {
            want += taps[i] * taps[j] *
                    in[size_t(plane * 30 + mirrored(2 * r + i - 1, 5) * 6 +
                              mirrored(2 * c + j - 1, 6))];
          }
        }
        CHECK(got[size_t(plane * 9 + r * 3 + c)] == doctest::Approx(want).epsilon(1e-5));
      }
    }
  }
  CHECK(blur.parameter_count() == 0);
  CHECK_ERROR(run(blur, Tensor::zeros({1, 1, 1, 4})), "blur_pool2d: got (1,1,1,4)");
}

TEST_CASE("layers: efficient channel attention gates by neighbouring channels") {
  constexpr int64_t kChannels = 64;  // (log2 64 + 1) / 2 = 3.5: a kernel of 3
  nn::EfficientChannelAttention eca(kChannels);
  Generator generator(3);
  eca.initialise(generator);
  CHECK(eca.parameter_count() == 3);
  CHECK(nn::EfficientChannelAttention(512).parameter_count() == 5);
  CHECK(nn::EfficientChannelAttention(16).parameter_count() == 3);
  const auto w = eca.state().at("conv.weight").to_vector<double>();
  const Tensor x = random_tensor({2, kChannels, 2, 3}, 4, -1, 1, DType::kF32);
  const auto in = x.to_vector<double>(), got = run(eca, x).to_vector<double>();
  for (int64_t n = 0; n < 2; ++n) {
    for (int64_t c = 0; c < kChannels; ++c) {
      double sum = 0;
      for (int64_t k = 0; k < 3; ++k) {
        const int64_t from = c + k - 1;
        if (from < 0 || from >= kChannels) continue;
        double mean = 0;
        for (int64_t p = 0; p < 6; ++p) mean += in[size_t((n * kChannels + from) * 6 + p)] / 6;
        sum += w[size_t(k)] * mean;
      }
      for (int64_t p = 0; p < 6; ++p) {
        const size_t at = size_t((n * kChannels + c) * 6 + p);
        CHECK(got[at] == doctest::Approx(in[at] / (1 + std::exp(-sum))).epsilon(1e-5));
      }
    }
  }
}

TEST_CASE("layers: a standardised convolution ignores its kernels' mean and scale") {
  nn::StandardisedConv2d conv(4, 6, {.kernel = 3, .stride = 2, .padding = 1}, 1e-8);
  nn::Conv2d plain(4, 6, {.kernel = 3, .stride = 2, .padding = 1});
  Generator generator(5);
  conv.initialise(generator);
  nn::State state = conv.state();
  Tensor standard = state.at("weight").clone();
  float* w = standard.data<float>();
  for (int64_t o = 0; o < 6; ++o) {
    double mean = 0, square = 0;
    for (int64_t i = 0; i < 36; ++i) mean += w[o * 36 + i] / 36.0;
    for (int64_t i = 0; i < 36; ++i) square += std::pow(w[o * 36 + i] - mean, 2) / 36;
    for (int64_t i = 0; i < 36; ++i)
      w[o * 36 + i] = float((w[o * 36 + i] - mean) / std::sqrt(square));
  }
  plain.load_state({{"weight", standard}});
  const Tensor x = random_tensor({2, 4, 7, 7}, 6, -1, 1, DType::kF32);
  const Tensor want = run(plain, x);
  CHECK(test::error_of(run(conv, x), want) < 1e-5);
  state.at("weight") = ops::affine(state.at("weight"), 3, 0.5);
  conv.load_state(state);
  CHECK(test::error_of(run(conv, x), want) < 1e-5);

  // The gradient passes the standardisation: along the kernel itself it is zero.
  const nn::Variable y = conv(nn::Variable(x));
  autograd::sum(autograd::mul(y, y), {}).backward();
  const auto [name, weight] = conv.named_parameters()[0];
  const auto g = weight.grad().to_vector<double>(), v = weight.value().to_vector<double>();
  double along = 0, norm = 0;
  for (size_t i = 0; i < g.size(); ++i) {
    along += g[i] * v[i];
    norm += std::abs(g[i] * v[i]);
  }
  CHECK(norm > 1e-3);
  CHECK(std::abs(along) < 1e-4 * norm);
}

TEST_CASE("layers: He's option A slices the grid and pads channels with zeros") {
  nn::BasicBlock block(2, 4, {.stride = 2, .shortcut = nn::Shortcut::kPadded});
  Generator generator(7);
  block.initialise(generator);  // the residual branch starts at zero
  CHECK(block.parameter_count() == 9 * 8 + 9 * 16 + 4 * 4);
  const Tensor x = random_tensor({1, 2, 4, 4}, 8, 0, 1, DType::kF32);
  const Tensor y = run(block, x);
  REQUIRE(y.shape() == Shape{1, 4, 2, 2});
  const auto got = y.to_vector<double>(), in = x.to_vector<double>();
  for (int64_t c = 0; c < 4; ++c) {
    for (int64_t r = 0; r < 2; ++r) {
      for (int64_t k = 0; k < 2; ++k) {
        const bool padded = c == 0 || c == 3;
        CHECK(got[size_t(c * 4 + r * 2 + k)] ==
              (padded ? 0 : in[size_t((c - 1) * 16 + r * 8 + k * 2)]));
      }
    }
  }
}

TEST_CASE("layers: a dropped path leaves the shortcut") {
  const auto check = [](nn::Module& block, const char* name) {
    INFO(std::string(name));
    Generator generator(9);
    block.initialise(generator);
    nn::State state = block.state();
    for (auto& [key, tensor] : state) {  // the last norm starts at zero
      if (key.ends_with("bn2.weight") || key.ends_with("bn3.weight") ||
          key.ends_with("bn.weight")) {
        tensor.fill(1);
      }
    }
    block.load_state(state);
    const Tensor x = random_tensor({32, 32, 4, 4}, 10, 0, 1, DType::kF32);  // ReLU leaves it
    const auto in = x.to_vector<double>();
    const auto equal_rows = [&] {
      const auto got = run(block, x).to_vector<double>();
      int64_t rows = 0;
      for (size_t n = 0; n < 32; ++n) {
        rows += std::equal(got.begin() + long(n * 512), got.begin() + long((n + 1) * 512),
                           in.begin() + long(n * 512));
      }
      return rows;
    };
    CHECK(equal_rows() == 0);
    block.train();
    Context::current().generator = Generator(11);
    const int64_t dropped = equal_rows();
    CHECK(dropped >= 8);
    CHECK(dropped <= 24);
  };
  nn::BasicBlock basic(32, 32, {.drop_path = 0.5});
  check(basic, "basic");
  nn::Bottleneck bottleneck(32, 8, {.drop_path = 0.5});
  check(bottleneck, "bottleneck");
  nn::RegNetBlock regnet(32, 32, {.width = 32, .groups = 4, .se_channels = 8, .drop_path = 0.5});
  check(regnet, "regnet");
  for (const auto norm :
       {nn::Norm::kBatch, nn::Norm::kGroup32, nn::Norm::kEvoS0, nn::Norm::kFilterResponse}) {
    nn::PreActBasic preact(32, 32, {.norm = norm, .drop_path = 0.5});
    check(preact, "pre-activation");
  }
}
