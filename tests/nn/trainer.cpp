#include "kintsugi/nn/train/trainer.h"

#include "kintsugi/engine/ops/pool.h"
#include "kintsugi/nn/blocks/heads.h"
#include "kintsugi/nn/blocks/resnet.h"
#include "tests/support/compare.h"

using namespace kintsugi;
using kintsugi::test::random_tensor;

namespace {

std::shared_ptr<nn::Network> tiny_network(double drop_path = 0) {
  auto network = std::make_shared<nn::Network>("tiny", Shape{1, 6, 6}, 3);
  network->set_stem("stem", std::make_shared<nn::ConvNormAct>(
                                1, 8, nn::Conv2d::Options{.kernel = 3, .padding = 1}, nn::Act::kRelu));
  network->add_block("layer1.0", std::make_shared<nn::BasicBlock>(
                                       8, 8, nn::ResidualOptions{.drop_path = drop_path}));
  network->set_head("", std::make_shared<nn::PoolHead>(8, 3, nn::PoolHead::Options{}));
  network->set_path("");
  Generator generator(7);
  network->initialise(generator);
  return network;
}

// A bright row, a bright column, or neither: orientation survives the pooling of the head.
nn::TrainBatch make_batch(int64_t n, uint64_t seed) {
  Tensor images = random_tensor({n, 1, 6, 6}, seed, -0.5, 0.5, DType::kF32);
  Tensor labels = Tensor::empty({n}, DType::kI64);
  for (int64_t i = 0; i < n; ++i) {
    const int64_t label = (i * 7 + int64_t(seed)) % 3;
    labels.data<int64_t>()[i] = label;
    const int64_t at = 1 + i % 4;
    for (int64_t k = 0; k < 6; ++k) {
      if (label < 2) images.data<float>()[i * 36 + (label == 0 ? at * 6 + k : k * 6 + at)] += 2;
    }
  }
  return {images, labels};
}

constexpr int64_t kSteps = 4;

nn::BatchSource source() {
  return [](int64_t epoch, int64_t first) {
    return [epoch, step = first]() mutable {
      return make_batch(16, uint64_t(epoch * kSteps + step++ + 100));
    };
  };
}

nn::TrainOptions options() {
  return {.epochs = 6,
          .steps_per_epoch = kSteps,
          .lr = 0.02,
          .warmup_epochs = 1,
          .label_smoothing = 0.1,
          .clip_norm = 1,
          .ema_decay = 0.9};
}

std::vector<float> weights_of(const nn::Network& network) {
  std::vector<float> all;
  for (const auto& [name, tensor] : network.state()) {
    for (const float value : tensor.to_vector<float>()) all.push_back(value);
  }
  return all;
}

nn::Evaluation measure(nn::Network& network) {
  int64_t batch = 0;
  return nn::evaluate(network, [&]() -> std::optional<nn::TrainBatch> {
    if (batch == 4) return std::nullopt;
    return make_batch(30, uint64_t(9000 + batch++));
  });
}

}  // namespace

TEST_CASE("trainer: learns, by both optimisers") {
  for (const nn::OptimizerKind kind : {nn::OptimizerKind::kSgd, nn::OptimizerKind::kAdamW}) {
    auto network = tiny_network();
    nn::TrainOptions o = options();
    o.optimizer = kind;
    if (kind == nn::OptimizerKind::kSgd) o.lr = 0.1, o.weight_decay = 1e-4;
    nn::Trainer trainer(*network, source(), o);
    int64_t steps = 0, epochs = 0;
    CHECK(trainer.run([&](const nn::TrainProgress& p) { steps = p.step; }, [&](int64_t) { ++epochs; }));
    CHECK(steps == 24);
    CHECK(epochs == 6);
    CHECK_FALSE(network->training());
    const nn::Evaluation result = measure(*network);
    CHECK(result.images == 120);
    CHECK(result.top1 > 90);
    CHECK(result.top5 == 100);
  }
}

TEST_CASE("trainer: a run stopped anywhere goes on with the same bits") {
  ScopedSet threads(Context::current().generator, Generator(1));
  auto whole = tiny_network(0.3);
  nn::Trainer(*whole, source(), options()).run();
  const auto want = weights_of(*whole);
  for (const int64_t stop_at : {1, 4, 11}) {
    auto first = tiny_network(0.3);
    std::stop_source stop;
    nn::Trainer trainer(*first, source(), options());
    CHECK_FALSE(trainer.run(
        [&](const nn::TrainProgress& p) {
          if (p.step == stop_at) stop.request_stop();
        },
        {}, stop.get_token()));
    const nn::TrainState state = trainer.snapshot();
    auto second = tiny_network(0.3);
    // Another start, to see that all of it comes from the snapshot.
    Generator generator(99);
    nn::State other = second->state();
    for (auto& [name, tensor] : other) generator.uniform(tensor, 0.1, 1);
    second->load_state(other);
    nn::Trainer resumed(*second, source(), options());
    resumed.restore(state);
    CHECK(resumed.step() == stop_at);
    CHECK(resumed.run());
    CHECK(weights_of(*second) == want);
  }
}

TEST_CASE("trainer: a checkpoint of other options or with holes is refused") {
  auto network = tiny_network();
  nn::Trainer trainer(*network, source(), options());
  const nn::TrainState state = trainer.snapshot();
  nn::TrainOptions other = options();
  other.lr = 0.5;
  nn::Trainer changed(*network, source(), other);
  CHECK_ERROR(changed.restore(state), "other options");
  nn::TrainState broken = state;
  broken.tensors.erase("optimizer.exp_avg.fc.weight");
  CHECK_ERROR(trainer.restore(broken), "optimizer");
  broken = state;
  broken.metadata["step"] = "-3";
  CHECK_ERROR(trainer.restore(broken), "'step' is '-3'");
}

TEST_CASE("trainer: a loss that is not finite names its step") {
  auto network = tiny_network();
  const nn::BatchSource poisoned = [](int64_t, int64_t) {
    return [] {
      nn::TrainBatch batch = make_batch(4, 1);
      batch.images.fill(NAN);
      return batch;
    };
  };
  nn::Trainer trainer(*network, poisoned, options());
  CHECK_ERROR(trainer.run(), "at step 0 of 24");
}

TEST_CASE("trainer: frozen parameters stay") {
  auto network = tiny_network();
  network->freeze();
  network->head()->freeze(false);
  const auto before = network->state();
  nn::TrainOptions o = options();
  o.epochs = 1;
  nn::Trainer(*network, source(), o).run();
  const auto after = network->state();
  for (const auto& [name, tensor] : after) {
    INFO(name);
    const bool same = tensor.to_vector<float>() == before.at(name).to_vector<float>();
    CHECK(same == !name.starts_with("fc"));
  }
}
