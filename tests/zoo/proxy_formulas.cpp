// Every formula against the same one over a forward written out by hand, in double, whose
// derivatives are differences.
#include <map>

#include "kintsugi/nn/blocks/heads.h"
#include "kintsugi/solvers/naswot.h"
#include "kintsugi/zoo/proxies/naswot.h"
#include "kintsugi/zoo/proxies/proxies.h"
#include "tests/support/compare.h"

using namespace kintsugi;
using namespace kintsugi::test;

namespace {

constexpr size_t kSide = 4, kPlaces = kSide * kSide, kWidth = 2, kClasses = 3;
using Values = std::vector<double>;
using Weights = std::map<std::string, Values>;

// 3x3 convolution (1 to 2 channels) - batch norm - ReLU - mean over places - linear (3 classes).
std::shared_ptr<nn::Network> tiny_network() {
  auto network = std::make_shared<nn::Network>("tiny", Shape{1, kSide, kSide}, kClasses);
  network->set_stem("stem", std::make_shared<nn::Conv2d>(
                                1, kWidth, nn::Conv2d::Options{.kernel = 3, .padding = 1}));
  auto block = std::make_shared<nn::Sequential>();
  block->add<nn::BatchNorm2d>("norm", kWidth);
  block->add<nn::Activation>("act", nn::Act::kRelu);
  network->add_block("block", block);
  network->set_head("head",
                    std::make_shared<nn::PoolHead>(kWidth, kClasses, nn::PoolHead::Options{}));
  Generator generator(1);
  network->initialise(generator);
  uint64_t seed = 10;
  for (auto& list : {network->named_parameters(), network->named_buffers()}) {
    for (auto [name, variable] : list) {
      const bool positive = name.ends_with("running_var");
      variable.set_value(
          random_tensor(variable.shape(), seed++, positive ? 0.5 : -1, 1, DType::kF32));
    }
  }
  // A weight of 0 stays one.
  network->named_parameters()[0].second.value().data<float>()[4] = 0;
  return network;
}

Weights weights_of(const nn::Network& network) {
  Weights weights;
  for (const auto& [name, tensor] : network.state()) weights[name] = tensor.to_vector<double>();
  return weights;
}

struct Forward {
  Values conv, act, logits;  // (channel, place), (channel, place), (class)
};

// `conv_bump` is added to the convolution's outputs, `logit_bump` to the logits.
Forward forward(const Weights& w, const Values& image, const Values& conv_bump = {},
                const Values& logit_bump = {}) {
  Forward out;
  for (size_t c = 0; c < kWidth; ++c) {
    for (size_t p = 0; p < kPlaces; ++p) {
      double sum = conv_bump.empty() ? 0 : conv_bump[c * kPlaces + p];
      for (size_t k = 0; k < 9; ++k) {
        const size_t row = p / kSide + k / 3, col = p % kSide + k % 3;  // one more than they are
        if (row == 0 || col == 0 || row > kSide || col > kSide) continue;
        sum += w.at("stem.weight")[c * 9 + k] * image[(row - 1) * kSide + col - 1];
      }
      out.conv.push_back(sum);
      const double scaled = (sum - w.at("block.norm.running_mean")[c]) /
                            std::sqrt(w.at("block.norm.running_var")[c] + 1e-5);
      out.act.push_back(scaled * w.at("block.norm.weight")[c] + w.at("block.norm.bias")[c]);
    }
  }
  for (size_t k = 0; k < kClasses; ++k) {
    double logit = w.at("head.fc.bias")[k] + (logit_bump.empty() ? 0 : logit_bump[k]);
    for (size_t c = 0; c < kWidth; ++c) {
      double mean = 0;
      for (size_t p = 0; p < kPlaces; ++p)
        mean += std::max(0.0, out.act[c * kPlaces + p]) / kPlaces;
      logit += w.at("head.fc.weight")[k * kWidth + c] * mean;
    }
    out.logits.push_back(logit);
  }
  return out;
}

double sum_of(const Values& values) {
  double sum = 0;
  for (const double v : values) sum += v;
  return sum;
}

double cross_entropy(const Values& logits, int64_t label) {
  double sum = 0;
  for (const double v : logits) sum += std::exp(v);
  return std::log(sum) - logits[size_t(label)];
}

// df/dx by central differences, x changed in place.
template <class F>
double slope(double& x, F f) {
  constexpr double kStep = 1e-6;
  const double at = x;
  x = at + kStep;
  const double above = f();
  x = at - kStep;
  const double below = f();
  x = at;
  return (above - below) / (2 * kStep);
}

struct Subject {
  std::shared_ptr<nn::Network> network = tiny_network();
  zoo::ProxyBatch batch;
  std::vector<Values> images;
  std::vector<int64_t> labels;
  Weights weights = weights_of(*network);

  explicit Subject(size_t n) {
    batch.images = random_tensor({int64_t(n), 1, kSide, kSide}, 77, -1, 1, DType::kF32);
    const Values pixels = batch.images.to_vector<double>();
    for (size_t i = 0; i < n; ++i) {
      images.emplace_back(pixels.begin() + long(i * kPlaces),
                          pixels.begin() + long((i + 1) * kPlaces));
      labels.push_back(int64_t(i % kClasses));
    }
    batch.labels = Tensor::from<int64_t>({int64_t(n)}, labels);
  }
  double loss() const {
    double sum = 0;
    for (size_t i = 0; i < images.size(); ++i) {
      sum += cross_entropy(forward(weights, images[i]).logits, labels[i]);
    }
    return sum / double(images.size());
  }
  // Calls fn(weight, gradient of f) for every parameter.
  template <class F, class Fn>
  void each_gradient(F f, Fn fn) {
    for (const auto& [name, variable] : network->named_parameters()) {
      for (double& w : weights.at(name)) fn(w, slope(w, f));
    }
  }
};

}  // namespace

TEST_CASE("proxies: grad_norm and snip") {
  // More images than one part of the batch.
  Subject s(19);
  double squares = 0, saliency = 0;
  s.each_gradient([&] { return s.loss(); },
                  [&](double w, double g) { squares += g * g, saliency += std::abs(w * g); });
  CHECK(zoo::grad_norm(*s.network, s.batch) == doctest::Approx(std::sqrt(squares)).epsilon(1e-5));
  CHECK(zoo::snip(*s.network, s.batch) == doctest::Approx(saliency).epsilon(1e-5));
}

TEST_CASE("proxies: synflow") {
  Subject s(3);
  for (auto& [name, values] : s.weights) {
    for (double& v : values) v = std::abs(v);
  }
  const Values ones(kPlaces, 1);
  double saliency = 0;
  s.each_gradient([&] { return sum_of(forward(s.weights, ones).logits); },
                  [&](double w, double g) { saliency += std::abs(w * g); });
  CHECK(saliency > 0);
  CHECK(zoo::synflow(*s.network, s.batch) == doctest::Approx(saliency).epsilon(1e-7));
}

TEST_CASE("proxies: fisher") {
  Subject s(18);
  const double n = double(s.images.size());
  double want = 0;
  for (size_t i = 0; i < s.images.size(); ++i) {
    const Forward at = forward(s.weights, s.images[i]);
    Values conv(kWidth * kPlaces, 0), logits(kClasses, 0);
    const auto loss = [&] {
      return cross_entropy(forward(s.weights, s.images[i], conv, logits).logits, s.labels[i]) / n;
    };
    for (size_t c = 0; c < kWidth; ++c) {
      double sum = 0;
      for (size_t p = 0; p < kPlaces; ++p) {
        sum += at.conv[c * kPlaces + p] * slope(conv[c * kPlaces + p], loss);
      }
      want += sum * sum / (2 * n);
    }
    for (size_t k = 0; k < kClasses; ++k) {
      const double change = at.logits[k] * slope(logits[k], loss);
      want += change * change / (2 * n);
    }
  }
  CHECK(zoo::fisher(*s.network, s.batch) == doctest::Approx(want).epsilon(1e-4));
}

TEST_CASE("proxies: jacov and ntk of two images, by hand") {
  Subject s(2);
  std::vector<Values> jacobians(2), tangents(2);
  for (size_t i = 0; i < 2; ++i) {
    const auto f = [&] { return sum_of(forward(s.weights, s.images[i]).logits); };
    for (double& pixel : s.images[i]) jacobians[i].push_back(slope(pixel, f));
    s.each_gradient(f, [&](double, double g) { tangents[i].push_back(g); });
  }
  const auto product = [](const Values& a, const Values& b) {
    double sum = 0;
    for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
    return sum;
  };
  const double a = product(tangents[0], tangents[0]), b = product(tangents[0], tangents[1]),
               d = product(tangents[1], tangents[1]);
  const double root = std::sqrt((a - d) * (a - d) / 4 + b * b);
  const double condition = ((a + d) / 2 + root) / ((a + d) / 2 - root);
  CHECK(zoo::ntk(*s.network, s.batch) == doctest::Approx(-condition).epsilon(1e-3));
  // With room for one gradient only.
  CHECK(zoo::ntk(*s.network, s.batch, 1) == doctest::Approx(-condition).epsilon(1e-3));

  for (Values& row : jacobians) {
    const double mean = sum_of(row) / double(row.size());
    for (double& v : row) v -= mean;
  }
  const double r =
      product(jacobians[0], jacobians[1]) /
      std::sqrt(product(jacobians[0], jacobians[0]) * product(jacobians[1], jacobians[1]));
  double want = 0;
  for (const double v : {1 + r + 1e-5, 1 - r + 1e-5}) want -= std::log(v) + 1 / v;
  CHECK(zoo::jacov(*s.network, s.batch) == doctest::Approx(want).epsilon(1e-4));
}

TEST_CASE("proxies: ntk has the same value however many gradients fit") {
  const Subject s(7);
  const double whole = zoo::ntk(*s.network, s.batch);
  const size_t row = sizeof(double) * size_t(s.network->parameter_count());
  for (const size_t rows : {0, 2, 4, 6, 10}) {
    CHECK(zoo::ntk(*s.network, s.batch, rows * row) == doctest::Approx(whole).epsilon(1e-9));
  }
}

TEST_CASE("proxies: naswot in training mode takes the batch's statistics and leaves the network's") {
  Subject s(4);
  for (auto [name, variable] : s.network->named_buffers()) {
    if (name.ends_with("running_mean")) variable.set_value(Tensor::full(variable.shape(), 1e3));
  }
  s.weights = weights_of(*s.network);
  s.network->train(true);
  CHECK(std::isinf(zoo::naswot(*s.network, s.batch.images)));  // no unit tells images apart
  const double trained = zoo::naswot(*s.network, s.batch.images, true);
  CHECK(std::isfinite(trained));
  CHECK(trained == zoo::naswot(*s.network, s.batch.images, true));
  CHECK(weights_of(*s.network) == s.weights);
}

TEST_CASE("proxies: naswot") {
  const Subject s(4);
  std::vector<std::vector<bool>> codes;
  for (const Values& image : s.images) {
    codes.emplace_back();
    for (const double a : forward(s.weights, image).act) codes.back().push_back(a > 0);
  }
  solvers::Matrix k(4, 4);
  for (size_t i = 0; i < 4; ++i) {
    for (size_t j = 0; j < 4; ++j) {
      for (size_t u = 0; u < codes[i].size(); ++u) k(i, j) += codes[i][u] == codes[j][u];
    }
  }
  // The determinant by its permutations.
  std::vector<size_t> order{0, 1, 2, 3};
  double det = 0;
  do {
    double term = 1;
    for (size_t i = 0; i < 4; ++i) {
      term *= k(i, order[i]);
      for (size_t j = 0; j < i; ++j) term *= order[j] > order[i] ? -1 : 1;
    }
    det += term;
  } while (std::next_permutation(order.begin(), order.end()));
  CHECK(zoo::naswot(*s.network, s.batch.images) ==
        doctest::Approx(std::log(std::abs(det)) / 4).epsilon(1e-9));
}

TEST_CASE("proxies: by name, with the nearest one for a typo") {
  const Subject s(4);
  for (const zoo::Proxy& proxy : zoo::proxies()) {
    CHECK(&zoo::find_proxy(proxy.name) == &proxy);
    if (proxy.needs_plan) {
      CHECK_ERROR(zoo::score(proxy, *s.network, s.batch), "needs a plan");
    } else {
      CHECK(std::isfinite(zoo::score(proxy, *s.network, s.batch)));
    }
  }
  CHECK(zoo::score(zoo::find_proxy("snip"), *s.network, s.batch) == zoo::snip(*s.network, s.batch));
  CHECK_ERROR(zoo::find_proxy("synflo"), "did you mean 'synflow'");
}

TEST_CASE("proxies: a network that gives no numbers is the worst") {
  const Subject s(4);
  s.network->named_parameters()[0].second.value().data<float>()[0] = NAN;
  for (const zoo::Proxy& proxy : zoo::proxies()) {
    if (proxy.needs_plan) continue;
    INFO(proxy.name);
    CHECK(zoo::score(proxy, *s.network, s.batch) == -INFINITY);
  }
}
