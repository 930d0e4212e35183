// Whole networks on the device beside the same networks on the CPU: logits, a training step, and a
// replayed forward.
#include <doctest/doctest.h>

#include <optional>

#include "kintsugi/autograd/ops/loss.h"
#include "kintsugi/autograd/optim/adamw.h"
#include "kintsugi/engine/ops/elementwise.h"
#include "kintsugi/engine/program/recorder.h"
#include "kintsugi/engine/program/replay.h"
#include "kintsugi/engine/ops/reduce.h"
#include "kintsugi/nn/forward_hook.h"
#include "kintsugi/nn/replayed_forward.h"
#include "kintsugi/nn/train/replayed_step.h"
#include "kintsugi/zoo/catalog.h"
#include "tests/cuda/in_use.h"
#include "tests/support/compare.h"
#include "tests/support/formula.h"
#ifdef KINTSUGI_TEST_EMULATED
#include "tests/support/simt/device.h"
#endif

using namespace kintsugi;
using namespace kintsugi::test;
using autograd::Variable;

namespace {

std::shared_ptr<nn::Network> network_on(Device device, const std::string& name,
                                        const Shape& input = {}) {
  ScopedSet where(Context::current().device, device);
  zoo::BuildOptions options;
  options.input = input;
  const auto network = zoo::build_network(name, options);
  Generator generator(7);
  network->initialise(generator);
  return network;
}

Tensor images_for(const nn::Network& network, int64_t count) {
  Shape shape = network.input();
  shape.insert(0, count);
  Tensor x = Tensor::empty(shape, DType::kF32, kCpu, MemoryFormat::kChannelsLast);
  Generator(3).normal(x, 0, 1);
  return x;
}

// max |got - want| / max |want|.
double relative_error(const Tensor& got, const Tensor& want) {
  double largest = 0;
  for (const double v : want.to_vector<double>()) largest = std::max(largest, std::abs(v));
  const Tensor scaled = ops::affine(want.to(kCpu).to(DType::kF64), 1 / largest, 0);
  return error_of(ops::affine(got.to(kCpu).to(DType::kF64), 1 / largest, 0), scaled);
}

// What rounding every module's output to bf16 costs on the CPU, as relative_error: some networks
// with weights by formula are worse conditioned than others.
double cost_of_rounding(nn::Network& here, const Tensor& x, const Tensor& want) {
  const nn::ForwardHook rounding([](nn::Module&, const Variable& y) {
    return Variable(y.value().to(DType::kBF16).to(DType::kF32));
  });
  return relative_error(here(Variable(x)).value(), want);
}

const std::string kNetworks[] = {"resnet_nano",        "regnety_nano",    "mobilenetv3_nano",
                                 "vit_nano_patch4_28", "poolformer_nano", "convformer_nano",
                                 "caformer_nano"};

void check_mixed_precision(const std::string& name, const Shape& input) {
  CAPTURE(name);
  zoo::BuildOptions options;
  options.input = input;
  const auto here = zoo::build_network(name, options), there = zoo::build_network(name, options);
  fill_by_formula(*here, 1);
  {
    ScopedSet where(Context::current().device, kTestDevice);
    there->load_state(here->state());
  }
  here->train(false);
  there->train(false);
  const autograd::NoGrad no_grad;
  ScopedSet math(Context::current().math, Math::kBF16);
  const Tensor x = images_for(*here, 1), want = (*here)(Variable(x)).value();
  const Tensor got = (*there)(Variable(x.to(kTestDevice))).value();
  CHECK(got.dtype() == DType::kF32);
  const double error = relative_error(got, want);
  CHECK(error > 1e-4);  // it was bf16 on the way
  CHECK(error < 0.01 + 3 * cost_of_rounding(*here, x, want));
}

}  // namespace

TEST_CASE("networks: logits on the device") {
  const AsInUse in_use;
  for (const std::string& name : kNetworks) {
    CAPTURE(name);
    const auto here = network_on(kCpu, name), there = network_on(kTestDevice, name);
    here->train(false);
    there->train(false);
    const autograd::NoGrad no_grad;
    const Tensor x = images_for(*here, 2);
    const Tensor want = (*here)(Variable(x)).value();
    const Tensor got = (*there)(Variable(x.to(kTestDevice))).value();
    CHECK(got.device() == kTestDevice);
    CHECK(error_of(got, want) < 1e-5);
  }
}

// Small images, so that the emulator has done soon; every kind of block that the catalog has.
TEST_CASE("networks: one of each family on the device") {
  const AsInUse in_use;
  for (const char* name : {"resnet18",
                           "seresnet18",
                           "resnetv2_50d_gn",
                           "resnetv2_50x1_bit",
                           "regnety_002",
                           "tf_efficientnet_b0",
                           "mobilenetv3_small_050",
                           "lcnet_035",
                           "tinynet_e",
                           "densenet121",
                           "convnext_atto",
                           "convnextv2_atto",
                           "vit_tiny_patch16_224",
                           "deit3_small_patch16_224",
                           "poolformerv2_s12",
                           "caformer_s18",
                           "swin_tiny_patch4_window7_224",
                           "mixer_s32_224",
                           "gmlp_ti16_224",
                           "resmlp_12_224"}) {
    CAPTURE(std::string(name));
    zoo::BuildOptions options;
    options.input = {3, 32, 32};
    const auto here = zoo::build_network(name, options);
    fill_by_formula(*here, 1);
    const auto there = zoo::build_network(name, options);
    {
      ScopedSet where(Context::current().device, kTestDevice);
      there->load_state(here->state());
    }
    here->train(false);
    there->train(false);
    const autograd::NoGrad no_grad;
    const Tensor x = images_for(*here, 1);
    const Tensor want = (*here)(Variable(x)).value();
    CHECK(relative_error((*there)(Variable(x.to(kTestDevice))).value(), want) < 3e-5);
  }
}

TEST_CASE("networks: logits in mixed precision") {
  const AsInUse in_use;
  for (const char* name : {"resnet18", "seresnet18", "mobilenetv3_small_050", "convnext_atto",
                           "vit_tiny_patch16_224", "caformer_s18", "mixer_s32_224"}) {
    check_mixed_precision(name, {3, 32, 32});
  }
}

// Every architecture of the catalog that is small at 64 by 64 pixels, forward and backward, in half
// an hour: test_cuda_emulated --no-skip -tc='networks sweep*'
TEST_CASE("networks sweep: mixed precision" * doctest::skip()) {
  const AsInUse in_use;
  ScopedSet math(Context::current().math, Math::kBF16);
  int64_t seen = 0;
  for (const zoo::Variant& variant : zoo::catalog()) {
    CAPTURE(variant.name);
    zoo::BuildOptions options;
    options.input = {variant.input[0], 64, 64};
    std::shared_ptr<nn::Network> network;
    try {
      network = zoo::build_network(variant.name, options);
    } catch (const Error&) {
      continue;  // it has one size
    }
    const nn::Cost cost = network->cost();
    if (cost.params > 30'000'000 || cost.macs > 250'000'000 || network->classes() < 2) continue;
    fill_by_formula(*network, 1);
    network->to(kTestDevice);
    network->train(true);
    try {
      check_mixed_precision(variant.name, options.input);
      const Variable logits = (*network)(Variable(images_for(*network, 2).to(kTestDevice)));
      const Tensor labels = Tensor::from<int64_t>({2}, {1, 0}).to(kTestDevice);
      autograd::cross_entropy(logits, labels, 0.1).backward();
    } catch (const Error& error) {
      FAIL_CHECK(error.what());
    }
    for (const auto& [key, p] : network->named_parameters()) {
      CAPTURE(key);
      if (!p.grad().defined()) continue;
      CHECK(p.grad().dtype() == DType::kF32);
      CHECK(std::isfinite(ops::sum(p.grad()).item()));
    }
    ++seen;
  }
  MESSAGE(seen << " architectures");
  CHECK(seen > 50);
}

TEST_CASE("networks: one step of training on the device") {
  const AsInUse in_use;
  for (const std::string& name : kNetworks) {
    CAPTURE(name);
    std::map<std::string, Tensor> grads[2], weights[2];
    double losses[2];
    for (const Device device : {kCpu, kTestDevice}) {
      const size_t at = device == kCpu ? 0 : 1;
      const auto network = network_on(device, name);
      network->train(true);
      Context::current().generator = Generator(11);
      const Tensor x = images_for(*network, 3).to(device);
      const Tensor labels = Tensor::from<int64_t>({3}, {1, 7, 4}).to(device);
      const Variable loss = autograd::cross_entropy((*network)(Variable(x)), labels, 0.1);
      losses[at] = loss.value().item();
      loss.backward();
      for (const auto& [key, p] : network->named_parameters()) grads[at][key] = p.grad();
      autograd::AdamW optimizer({{network->named_parameters()}});
      optimizer.step(1e-3);
      for (const auto& [key, p] : network->named_parameters()) weights[at][key] = p.value();
      for (const auto& [key, b] : network->named_buffers()) weights[at][key] = b.value();
    }
    CHECK(losses[1] == doctest::Approx(losses[0]).epsilon(1e-5));
    for (const auto& [key, want] : grads[0]) {
      CAPTURE(key);
      REQUIRE(grads[1].at(key).defined() == want.defined());
      if (want.defined()) CHECK(error_of(grads[1].at(key), want) < 1e-4);
    }
    for (const auto& [key, want] : weights[0]) {
      CAPTURE(key);
      // AdamW's first step is the sign of a gradient: where that is rounding alone it may differ.
      CHECK(error_of(weights[1].at(key), want) < 2.1e-3);
    }
  }
}

// Activations and their gradients in bf16, weights and theirs in f32: nearly the same loss, and a
// gradient that points the same way.
TEST_CASE("networks: one step of training in mixed precision") {
  const AsInUse in_use;
  for (const char* name : {"resnet_nano", "mobilenetv3_nano", "vit_nano_patch4_28"}) {
    CAPTURE(std::string(name));
    std::vector<double> grads[2];
    double losses[2];
    for (const Device device : {kCpu, kTestDevice}) {
      const size_t at = device == kCpu ? 0 : 1;
      ScopedSet math(Context::current().math, Math::kBF16);
      const auto network = network_on(device, name);
      network->train(true);
      const Tensor x = images_for(*network, 6).to(device);
      const Tensor labels = Tensor::from<int64_t>({6}, {1, 7, 4, 0, 9, 2}).to(device);
      const Variable logits = (*network)(Variable(x));
      const Variable loss = autograd::cross_entropy(logits, labels, 0.1);
      losses[at] = loss.value().item();
      loss.backward();
      for (const auto& [key, p] : network->named_parameters()) {
        if (!p.grad().defined()) continue;
        CAPTURE(key);
        CHECK(p.grad().dtype() == DType::kF32);
        for (const double v : p.grad().to_vector<double>()) grads[at].push_back(v);
      }
    }
    CHECK(losses[1] == doctest::Approx(losses[0]).epsilon(3e-2));
    REQUIRE(grads[1].size() == grads[0].size());
    double both = 0, one = 0, other = 0;
    for (size_t i = 0; i < grads[0].size(); ++i) {
      both += grads[0][i] * grads[1][i];
      one += grads[0][i] * grads[0][i];
      other += grads[1][i] * grads[1][i];
    }
    CHECK(both / std::sqrt(one * other) > 0.98);
  }
}

TEST_CASE("networks: replayed steps of training give the same bits as queued ones") {
  const AsInUse in_use;
  for (const double drop_path : {0.0, 0.5}) {
    CAPTURE(drop_path);
    std::map<std::string, std::vector<float>> weights[2];
    for (const size_t queued : {0, 1}) {
      ScopedSet where(Context::current().device, kTestDevice);
      zoo::BuildOptions build;
      build.drop_path = drop_path;
      build.input = {1, 16, 16};
      const auto network = zoo::build_network("mobilenetv3_nano", build);
      Generator generator(7);
      network->initialise(generator);
      nn::TrainOptions options;
      options.epochs = 2;
      options.steps_per_epoch = 3;
      options.seed = 5;
      // The last batch of an epoch is smaller than the others.
      const auto batches = [&](int64_t epoch, int64_t first) {
        return [&, step = epoch * 3 + first]() mutable {
          const int64_t n = step % 3 == 2 ? 2 : 4;
          Tensor x = images_for(*network, n);
          Generator(uint64_t(100 + step++)).normal(x, 0, 1);
          std::vector<int64_t> labels{3, 1, 4, 1};
          labels.resize(size_t(n));
          return nn::TrainBatch{x.to(kTestDevice),
                                Tensor::from<int64_t>({n}, labels).to(kTestDevice)};
        };
      };
      network->train(true);
      const nn::TrainBatch first = batches(0, 0)();
      const uint64_t next = Context::current().generator.next();
      CHECK_NOTHROW(nn::ReplayedStep(*network, first, 0));
      CHECK(Context::current().generator.next() == next);
      nn::Trainer trainer(*network, batches, options);
      std::optional<Profiler> watching;
      if (queued) watching.emplace();
      trainer.run();
      if (queued) CHECK(watching->rows().at("conv2d").calls > 0);
      for (const auto& [name, tensor] : network->state()) {
        weights[queued][name] = tensor.to_vector<float>();
      }
    }
    CHECK(weights[0] == weights[1]);
  }
}

TEST_CASE("networks: a replayed forward gives the same bits, whatever shapes come") {
  const AsInUse in_use;
  const auto network = network_on(kTestDevice, "resnet_nano");
  network->train(false);
  const autograd::NoGrad no_grad;
  nn::ReplayedForward forward(*network);
  uint64_t seed = 4;
  for (const int64_t n : {2, 2, 1, 2, 2, 1, 1}) {
    CAPTURE(n);
    Tensor images = images_for(*network, n);
    Generator(++seed).normal(images, 0, 1);
    const Tensor x = images.to(kTestDevice);
    CHECK(forward(x).to_vector<float>() == (*network)(Variable(x)).value().to_vector<float>());
  }
  Tensor x = images_for(*network, 2).to(kTestDevice), y;
  Replay replay(kTestDevice, [&] { y = (*network)(Variable(x)).value(); });  // it can be captured
}

#ifdef KINTSUGI_TEST_EMULATED
TEST_CASE("networks: a forward that has no room to be replayed is run") {
  const AsInUse in_use;
  const auto network = network_on(kTestDevice, "resnet_nano");
  network->train(false);
  const autograd::NoGrad no_grad;
  const Tensor x = images_for(*network, 8).to(kTestDevice);
  const auto want = (*network)(Variable(x)).value().to_vector<float>();
  cuda::current_pool(0)->release();
  nn::ReplayedForward forward(*network);
  CHECK(forward(x).to_vector<float>() == want);
  // What the forward takes is there, but not its images once more.
  const ScopedSet full(simt::device().memory, simt::device().used);
  Tensor copy, y;
  CHECK_ERROR(Replay(kTestDevice, [&] { y = (*network)(Variable(copy = x.clone())).value(); }),
              "allocator: ");
  copy = y = {};
  for (int i = 0; i < 3; ++i) CHECK(forward(x).to_vector<float>() == want);
}
#endif
