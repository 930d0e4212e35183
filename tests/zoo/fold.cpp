#include "kintsugi/nn/fold.h"

#include "kintsugi/zoo/catalog.h"
#include "tests/support/compare.h"
#include "tests/support/formula.h"

using namespace kintsugi;
using namespace kintsugi::test;

TEST_CASE("fold: norms and ReLUs go into convolutions, logits stay") {
  struct Case {
    const char* name;
    int64_t norms, relus;
  };
  // Every norm of the first four follows a convolution; of densenet121 the stem's and each layer's
  // second; of a block of resnetv2_50 two of three; the last two have none. ReLUs stay where they
  // follow a sum; in the gates of regnety_002 and mobilenetv3 there is one more each.
  for (const Case& at :
       {Case{"resnet18", 20, 9}, {"resnet50", 53, 33}, {"mobilenetv3_small_050", 34, 14},
        {"regnety_002", 44, 40}, {"densenet121", 59, 59}, {"resnetv2_50", 32, 32},
        {"convnext_atto", 0, 0}, {"deit_tiny_patch16_224", 0, 0}}) {
    CAPTURE(std::string(at.name));
    zoo::BuildOptions options;
    options.input = {3, 64, 64};
    const auto network = zoo::build_network(at.name, options);
    fill_by_formula(*network, 1);
    network->train(false);
    const autograd::NoGrad no_grad;
    const nn::Variable x(formula_images({2, 3, 64, 64}));
    const Tensor want = (*network)(x).value().clone();
    const size_t buffers = network->named_buffers().size();
    const nn::Folded folded = nn::fold_into_convolutions(*network);
    CHECK(folded.norms == at.norms);
    CHECK(folded.relus == at.relus);
    CHECK(network->named_buffers().size() == buffers - 2 * size_t(at.norms));
    double largest = 0;
    for (const double v : want.to_vector<double>()) largest = std::max(largest, std::abs(v));
    const auto got = (*network)(x).value().to_vector<double>(), before = want.to_vector<double>();
    double error = 0;
    for (size_t i = 0; i < got.size(); ++i) error = std::max(error, std::abs(got[i] - before[i]));
    CHECK(error / largest < 2e-5);
    const nn::Folded again = nn::fold_into_convolutions(*network);  // nothing is left
    CHECK(again.norms + again.relus == 0);
  }
}
