// Whole networks against timm's own code: see tests/golden/timm_logits.json.
#include <fstream>
#include <nlohmann/json.hpp>

#include "kintsugi/zoo/catalog.h"
#include "tests/support/compare.h"
#include "tests/support/formula.h"

using namespace kintsugi;

namespace {

nlohmann::json golden_file(const char* name) {
  return nlohmann::json::parse(
      std::ifstream(std::string(KINTSUGI_SOURCE_DIR) + "/tests/golden/" + name));
}

// The greatest error of a logit, relative to the scale.
double check_logits(const nlohmann::json& entry) {
  const std::string name = entry.at("name");
  INFO(name);
  const auto input = entry.at("input").get<std::vector<int64_t>>();
  const auto network = zoo::build_network(name, {.input = {input[1], input[2], input[3]}});
  test::fill_by_formula(*network, entry.at("gain"));
  const Tensor images = test::formula_images(Shape(std::span<const int64_t>(input)));
  Context::current().fallbacks.clear();
  autograd::NoGrad no_grad;
  const Tensor logits = (*network)(nn::Variable(images)).value();
#ifdef __x86_64__
  for (const auto& [op, count] : Context::current().fallbacks) {
    FAIL_CHECK(name << ": " << op << " ran its reference kernel " << count << " times");
  }
#endif
  REQUIRE(logits.size(0) == 2);
  const auto got = logits.to_vector<double>();
  const double scale = entry.at("scale");
  const auto want = entry.at("logits").get<std::vector<std::vector<double>>>();
  double worst = 0, contrast = 0, contrast_scale = 0;
  for (size_t c = 0; c < want[0].size(); ++c) {
    const double a = got[c], b = got[size_t(logits.size(1)) + c];
    worst = std::max({worst, std::abs(a - want[0][c]), std::abs(b - want[1][c])});
    // What the image changes is small beside what the weights say; a wrong kernel shows here.
    contrast = std::max(contrast, std::abs((a - b) - (want[0][c] - want[1][c])));
    contrast_scale = std::max(contrast_scale, std::abs(want[0][c] - want[1][c]));
  }
  CHECK(worst <= 1e-4 * scale);
  CHECK(contrast <= std::max(3e-3 * contrast_scale, 1e-6 * scale));  // f32's rounding of both
  return worst / scale;
}

}  // namespace

TEST_CASE("golden: logits of whole networks equal timm's, by kernels that do not fall back") {
  const auto golden = golden_file("timm_logits.json");
  for (const auto& entry : golden.at("networks")) check_logits(entry);
}

// Half an hour: test_zoo --no-skip -tc='sweep*'
TEST_CASE("sweep: logits of every network below 150 million parameters, and more, equal timm's" *
          doctest::skip()) {
  double worst = 0;
  size_t count = 0;
  const auto golden = golden_file("timm_sweep.json");
  for (const auto& entry : golden.at("networks")) {
    const double error = check_logits(entry);
    worst = std::max(worst, error);
    MESSAGE(++count, " ", entry.at("name").get<std::string>(), " ", error);
  }
  MESSAGE(count, " networks, the greatest error ", worst, " of the scale");
}
