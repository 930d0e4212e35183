// Training mode: drop path, and a gradient for every parameter.
#include "kintsugi/autograd/ops/loss.h"
#include "kintsugi/autograd/ops/reduce.h"
#include "kintsugi/nn/blocks/mixer.h"
#include "kintsugi/nn/blocks/swin.h"
#include "kintsugi/zoo/catalog.h"
#include "tests/support/compare.h"
#include "tests/support/formula.h"

using namespace kintsugi;

namespace {

void check_gradients_arrive(nn::Module& module) {
  for (const auto& [path, parameter] : module.named_parameters()) {
    INFO(path);
    REQUIRE(parameter.grad().defined());
    bool finite = true;
    for (const double value : parameter.grad().to_vector<double>()) finite &= std::isfinite(value);
    CHECK(finite);
  }
}

}  // namespace

TEST_CASE("training: a step reaches every parameter of a network") {
  for (const char* name : {"test_vit2", "test_vit3", "test_vit4", "test_convnext3"}) {
    INFO(name);
    const auto network =
        zoo::build_network(name, {.classes = 3, .input = {3, 32, 32}, .drop_path = 0.2});
    Generator generator(1);
    network->initialise(generator);
    network->train();
    const nn::Variable logits = (*network)(nn::Variable(test::formula_images({2, 3, 32, 32})));
    REQUIRE(logits.shape() == Shape{2, 3});
    autograd::cross_entropy(logits, Tensor::from<int64_t>({2}, {0, 2})).backward();
    check_gradients_arrive(*network);
  }
}

TEST_CASE("training: a step reaches every parameter of Swin's and the mixers' blocks") {
  using Form = nn::MixerBlockOptions::Form;
  const auto mixer = [](Form form) {
    return nn::make_mixer_block(16, 9,
                                {.form = form, .layer_scale = form == Form::kResMlp ? 0.1 : 0});
  };
  // A grid of 9 in windows of 4: padded, and shifted with a mask.
  const std::pair<std::shared_ptr<nn::Module>, Shape> blocks[] = {
      {std::make_shared<nn::SwinBlock>(16, 2, 9, 9, 4, true), {2, 16, 9, 9}},
      {std::make_shared<nn::PatchMerging>(16, 24), {2, 16, 9, 9}},
      {mixer(Form::kMixer), {2, 9, 16}},
      {mixer(Form::kSwiGlu), {2, 9, 16}},
      {mixer(Form::kResMlp), {2, 9, 16}},
      {mixer(Form::kGatedMlp), {2, 9, 16}},
  };
  for (const auto& [block, shape] : blocks) {
    Generator generator(1);
    block->initialise(generator);
    block->train();
    autograd::mean((*block)(nn::Variable(test::formula_images(shape)))).backward();
    check_gradients_arrive(*block);
  }
}
