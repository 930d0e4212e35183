#include "kintsugi/nn/blocks/mobilenet.h"

#include "kintsugi/autograd/ops/reduce.h"
#include "kintsugi/nn/layers/global_context.h"
#include "tests/support/compare.h"

using namespace kintsugi;
using kintsugi::test::random_tensor;

namespace {

std::vector<float> ramp_through(int64_t size, int64_t kernel, int64_t stride) {
  nn::Conv2d conv(1, 1, {.kernel = kernel, .stride = stride, .same = true});
  Tensor ones = Tensor::empty({1, 1, kernel, kernel});
  ones.fill(1);
  conv.load_state({{"weight", ones}});
  Tensor ramp = Tensor::empty({1, 1, 1, size});
  for (int64_t i = 0; i < size; ++i) ramp.data<float>()[i] = float(i + 1);
  return conv(nn::Variable(ramp)).value().to_vector<float>();
}

}  // namespace

TEST_CASE("conv: TensorFlow's SAME puts the odd column after") {
  // Of 1 2 3 4: the windows (1 2 3) and (3 4 0).
  CHECK(ramp_through(4, 3, 2) == std::vector<float>{6, 7});
  // Of 1 .. 5: (0 1 2), (2 3 4), (4 5 0).
  CHECK(ramp_through(5, 3, 2) == std::vector<float>{3, 9, 9});
  // Of 1 .. 4, five wide: (0 1 2 3 4), (2 3 4 0 0)
  CHECK(ramp_through(4, 5, 2) == std::vector<float>{10, 9});
  CHECK(ramp_through(3, 2, 1) == std::vector<float>{3, 5, 3});
  // A stride beyond the kernel needs none.
  CHECK(ramp_through(5, 1, 2) == std::vector<float>{1, 3, 5});
}

TEST_CASE("mobile blocks: every parameter learns, and dropped paths leave the shortcut") {
  using nn::MobileKind;
  for (const auto kind :
       {MobileKind::kSeparable, MobileKind::kInverted, MobileKind::kEdge, MobileKind::kConv}) {
    for (const bool context : {false, true}) {
      INFO("kind " << int(kind) << " context " << context);
      nn::MobileBlockOptions options{.inner = 16,
                                     .se_channels = 4,
                                     .global_context = context,
                                     .act = nn::Act::kSilu,
                                     .se_act = nn::Act::kSilu,
                                     .same = true};
      const auto block = nn::mobile_block(kind, 8, 8, options);
      Generator generator(3);
      block->initialise(generator);
      block->train();
      const nn::Variable x(random_tensor({3, 8, 5, 7}, 1).to(DType::kF32));
      const nn::Variable y = (*block)(x);
      REQUIRE(y.shape() == x.shape());
      y.backward(random_tensor(y.shape(), 2).to(DType::kF32));
      for (const auto& [name, parameter] : block->named_parameters()) {
        CHECK_MESSAGE(parameter.grad().defined(), name);
      }
      options.drop_path = 1 - 1e-12;
      const auto dropped = nn::mobile_block(kind, 8, 8, options);
      dropped->load_state(block->state());
      dropped->train();
      CHECK((*dropped)(x).value().to_vector<float>() == x.value().to_vector<float>());
    }
  }
}

TEST_CASE("mobile blocks: grids") {
  const nn::Variable x(Tensor::empty({2, 8, 9, 9}, DType::kF32, kMeta));
  const auto shape = [&](nn::MobileKind kind, const nn::MobileBlockOptions& options) {
    return (*nn::mobile_block(kind, 8, 12, options))(x).shape();
  };
  using nn::MobileKind;
  CHECK(shape(MobileKind::kInverted, {.stride = 2, .inner = 16}) == Shape{2, 12, 5, 5});
  CHECK(shape(MobileKind::kInverted, {.stride = 2, .inner = 16, .blur = true}) ==
        Shape{2, 12, 5, 5});
  CHECK(shape(MobileKind::kEdge, {.stride = 2, .inner = 16, .same = true}) == Shape{2, 12, 5, 5});
  CHECK(shape(MobileKind::kSeparable, {.space_to_depth = true}) == Shape{2, 12, 5, 5});
}
