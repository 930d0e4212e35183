// What holds for every proxy, and proxies of real networks; tests/zoo/proxy_formulas.cpp has the
// formulas.
#include <map>
#include <set>

#include "kintsugi/engine/ops/reduce.h"
#include "kintsugi/nn/layers/layers.h"
#include "kintsugi/solvers/naswot.h"
#include "kintsugi/zoo/datasets/subset.h"
#include "kintsugi/zoo/partition.h"
#include "kintsugi/zoo/proxies/naswot.h"
#include "kintsugi/zoo/proxies/proxies.h"
#include "kintsugi/zoo/sample.h"
#include "kintsugi/zoo/similarity.h"
#include "tests/support/compare.h"
#include "tests/zoo/synthetic_zoo.h"

using namespace kintsugi;
using namespace kintsugi::test;

namespace {

zoo::PartitionFile partition_of(std::vector<zoo::ZooMember>& members,
                                const std::shared_ptr<const zoo::Dataset>& data, int64_t k) {
  const zoo::SimilarityFile similarity =
      zoo::similarity_of(members, data, {.images = 16, .batch_size = 16});
  return zoo::partition_zoo(similarity, {.k = k});
}

// Everything that a proxy could leave changed, bit by bit.
struct Standing {
  std::map<std::string, std::vector<float>> values, gradients;
  std::map<std::string, const void*> storage;
  std::map<std::string, bool> wanted;
  std::vector<bool> modes;

  explicit Standing(const nn::Network& network) {
    for (const auto& list : {network.named_parameters(), network.named_buffers()}) {
      for (const auto& [name, variable] : list) {
        values[name] = variable.value().to_vector<float>();
        storage[name] = variable.value().storage();
        wanted[name] = variable.requires_grad();
        if (variable.grad().defined()) gradients[name] = variable.grad().to_vector<float>();
      }
    }
    add_modes(network);
  }
  void add_modes(const nn::Module& module) {
    modes.push_back(module.training());
    for (const auto& [name, child] : module.children()) add_modes(*child);
  }
  bool operator==(const Standing&) const = default;
};

// Some modules in training mode, some frozen, some with gradients, a weight of -0 and one of 0.
void disturb(nn::Network& network) {
  network.train(true);
  network.blocks()[0].module->freeze();
  network.blocks()[1].module->train(false);
  uint64_t seed = 1;
  for (auto [name, parameter] : network.named_parameters()) {
    if (seed++ % 3 != 0) continue;
    parameter.set_grad(random_tensor(parameter.shape(), seed, -1, 1, DType::kF32));
  }
  float* weights = network.named_parameters()[0].second.value().data<float>();
  weights[0] = -0.0f;
  weights[1] = 0;
}

}  // namespace

TEST_CASE("proxies: a sample takes its classes in turn") {
  const auto data = images();
  for (const int64_t count : {1, 7, 10, 23, 48, 100}) {
    const std::vector<int64_t> sample = zoo::stratified_sample(*data, count, 5);
    REQUIRE(int64_t(sample.size()) == std::min<int64_t>(count, 48));
    std::map<int64_t, int64_t> images_of, classes;
    for (const int64_t i : sample) {
      CHECK(++images_of[i] == 1);
      ++classes[data->label(i)];
    }
    // 48 images of ten classes: eight classes have five, two have four.
    if (count <= 40) {
      for (int64_t c = 0; c < 10; ++c) {
        CHECK(classes[c] >= count / 10);
        CHECK(classes[c] <= (count + 9) / 10);
      }
    }
  }
  CHECK(zoo::stratified_sample(*data, 20, 5) == zoo::stratified_sample(*data, 20, 5));
  CHECK(zoo::stratified_sample(*data, 20, 5) != zoo::stratified_sample(*data, 20, 6));
}

TEST_CASE("proxies: the kernels of a network's blocks sum to its own") {
  Scratch scratch;
  const auto data = images();
  auto members = zoo::load_zoo(
      make_zoo(scratch.path, {"resnet_nano", "vit_nano_patch4_28", "mobilenetv3_nano"}));
  const zoo::PartitionFile partition = partition_of(members, data, 3);
  const auto kernels = zoo::block_kernels(partition, data, {.images = 20, .seed = 4});
  const std::vector<int64_t> indices = zoo::stratified_sample(*data, 20, 4);
  REQUIRE(kernels.size() == 3);
  for (size_t m = 0; m < members.size(); ++m) {
    solvers::Matrix sum(20, 20);
    for (size_t k = 0; k < 3; ++k) {
      const auto& blocks = partition.sets[k].blocks;
      REQUIRE(kernels[k].size() == blocks.size());
      for (size_t b = 0; b < blocks.size(); ++b) {
        if (blocks[b].model != members[m].name) continue;
        for (size_t i = 0; i < 400; ++i) sum.values[i] += kernels[k][b].values[i];
      }
    }
    const zoo::ProxyBatch batch = zoo::proxy_batch(data, indices, members[m].loaded.card.input,
                                                   members[m].loaded.card.preprocessing);
    CHECK(solvers::log_det(sum) / 20 ==
          doctest::Approx(zoo::naswot(*members[m].loaded.network, batch.images)).epsilon(1e-12));
  }
  // A head of one's own is no part of a block that gets a fresh one.
  const auto bare =
      zoo::block_kernels(partition, data, {.images = 20, .fresh_head = true, .seed = 4});
  CHECK(bare[0][0].values == kernels[0][0].values);
  double smaller = 0;
  for (size_t b = 0; b < kernels[2].size(); ++b) {
    smaller += kernels[2][b](0, 0) - bare[2][b](0, 0);
  }
  CHECK(smaller > 0);  // MobileNet's head has an activation
}

TEST_CASE("proxies: every shipped family scores the same twice and stands as it stood") {
  const auto data = images();
  const std::vector<int64_t> sample = zoo::stratified_sample(*data, 10, 2);
  for (const char* name : {"resnet_nano", "regnety_nano", "mobilenetv3_nano", "vit_nano_patch4_28",
                           "poolformer_nano", "convformer_nano"}) {
    const zoo::LoadedNetwork loaded = zoo::fresh_network(name, {}, 5);
    nn::Network& network = *loaded.network;
    disturb(network);
    const Standing before(network);
    const zoo::ProxyBatch batch =
        zoo::proxy_batch(data, sample, network.input(), loaded.card.preprocessing);
    for (const zoo::Proxy& proxy : zoo::proxies()) {
      if (proxy.needs_plan) continue;
      CAPTURE(name);
      CAPTURE(proxy.name);
      autograd::NoGrad no_grad;  // a proxy that differentiates asks for its tape itself
      const double once = zoo::score(proxy, network, batch);
      CHECK(std::isfinite(once));
      CHECK(Standing(network) == before);
      CHECK(zoo::score(proxy, network, batch) == once);
    }
  }
}

TEST_CASE("proxies: what an error interrupts stands as it stood") {
  const auto data = images();
  const zoo::LoadedNetwork loaded = zoo::fresh_network("resnet_nano", {}, 5);
  nn::Network& network = *loaded.network;
  disturb(network);
  const Standing before(network);
  const Tensor colour = random_tensor({4, 3, 28, 28}, 1, -1, 1, DType::kF32);
  const zoo::ProxyBatch batch{colour, Tensor::from<int64_t>({4}, {0, 1, 2, 3}), data, {0, 1, 2, 3}};
  for (const zoo::Proxy& proxy : zoo::proxies()) {
    if (proxy.needs_plan) continue;
    CHECK_ERROR(zoo::score(proxy, network, batch), "expected");
    CHECK(Standing(network) == before);
  }
}

TEST_CASE("proxies: the residual of the stitches") {
  Scratch scratch;
  const auto data = images();
  auto members = zoo::load_zoo(
      make_zoo(scratch.path, {"resnet_nano", "vit_nano_patch4_28", "convformer_nano"}));
  const zoo::PartitionFile partition = partition_of(members, data, 3);
  const std::vector<int64_t> sample = zoo::stratified_sample(*data, 12, 2);
  const zoo::Proxy& proxy = zoo::find_proxy("stitch_residual");
  for (const nn::StitchForm form : {nn::StitchForm::kLinear, nn::StitchForm::kDery}) {
    for (const zoo::SampledPlan& sampled : zoo::sample_plans(partition, 4, {.form = form}, 3)) {
      const zoo::PlanFile& plan = sampled.plan;
      const zoo::LoadedNetwork loaded = zoo::load_plan(plan, 1);
      nn::Network& network = *loaded.network;
      disturb(network);
      const Standing before(network);
      const zoo::ProxyBatch batch =
          zoo::proxy_batch(data, sample, network.input(), loaded.card.preprocessing);
      const double unfitted = zoo::score(proxy, network, batch, &plan);
      CHECK(Standing(network) == before);

      // The same from whole forwards that stop where they have to; neighbours have no stitch.
      network.train(false);
      autograd::NoGrad no_grad;
      size_t last = 1;
      while (plan.stitches[last].none()) --last;
      const auto pooled_at = [&](nn::Network& n, const zoo::Preprocessing& preprocessing,
                                 int64_t position) {
        const zoo::ProxyBatch b = zoo::proxy_batch(data, sample, n.input(), preprocessing);
        Tensor x = n.run((*n.stem())(nn::Variable(b.images)), 0, position).value();
        if (x.rank() == 4) return ops::mean(x, {2, 3}).to_vector<double>();
        x = x.slice(1, n.feature_at(position).prefix_tokens, x.size(1)).contiguous();
        return ops::mean(x, {1}).to_vector<double>();
      };
      const zoo::PlanFile::Block& next = plan.blocks[last + 1];
      const auto& home = *std::find_if(members.begin(), members.end(),
                                       [&](const auto& m) { return m.name == next.model; });
      const auto got =
          pooled_at(network, plan.preprocessing, int64_t(zoo::stitch_indices(network).back()) + 1);
      const auto want =
          pooled_at(*home.loaded.network, home.loaded.card.preprocessing, next.first - 1);
      REQUIRE(got.size() == want.size());
      const size_t channels = size_t(plan.stitches[last].out.c);
      double sse = 0, sst = 0;
      for (size_t c = 0; c < channels; ++c) {
        double mean = 0;
        for (size_t i = 0; i < 12; ++i) mean += want[i * channels + c] / 12;
        for (size_t i = 0; i < 12; ++i) {
          sse += std::pow(want[i * channels + c] - got[i * channels + c], 2);
          sst += std::pow(want[i * channels + c] - mean, 2);
        }
      }
      CHECK(unfitted == doctest::Approx(-sse / sst).epsilon(1e-5));
      zoo::fit_stitches(network, plan, data, 48);
      const double fitted = zoo::score(proxy, network, batch, &plan);
      // DeRy's activation stands behind what least squares fits.
      if (form == nn::StitchForm::kLinear) CHECK(fitted > unfitted);
      CHECK(fitted < 0);
    }
  }
}

TEST_CASE("sample: different assemblies that keep the rules, spread over what there is") {
  Scratch scratch;
  const auto data = images();
  auto members = zoo::load_zoo(make_zoo(
      scratch.path, {"resnet_nano", "vit_nano_patch4_28", "convformer_nano", "mobilenetv3_nano"}));
  const zoo::PartitionFile partition = partition_of(members, data, 3);
  const zoo::Reassembly all = zoo::reassemble(partition, {.best = 1000});
  const auto key = [](const zoo::PlanFile& plan) {
    std::string text;
    for (const auto& block : plan.blocks) text += block.model + " ";
    return text;
  };
  std::map<std::string, const zoo::PlanFile*> known;
  for (const zoo::PlanFile& plan : all.plans) known[key(plan)] = &plan;

  const auto sampled = zoo::sample_plans(partition, 12, {}, 7);
  REQUIRE(sampled.size() == 12);
  std::set<std::string> seen;
  size_t lower_half = 0;
  const double median = all.plans[all.plans.size() / 2].objective;
  for (const zoo::SampledPlan& s : sampled) {
    CHECK(seen.insert(key(s.plan)).second);
    REQUIRE(known.contains(key(s.plan)));
    const zoo::PlanFile& want = *known.at(key(s.plan));
    CHECK(s.plan.params == want.params);
    CHECK(s.plan.macs == want.macs);
    CHECK(s.plan.objective == doctest::Approx(want.objective));
    for (size_t k = 0; k < 3; ++k) {
      CHECK(partition.sets[k].blocks[s.chosen[k]].model == s.plan.blocks[k].model);
    }
    lower_half += s.plan.objective < median;
  }
  CHECK(lower_half >= 4);
  CHECK(lower_half <= 8);

  // All there are, and one more.
  CHECK(zoo::sample_plans(partition, all.plans.size(), {}, 7).size() == all.plans.size());
  CHECK_ERROR(zoo::sample_plans(partition, all.plans.size() + 1, {}, 7),
              "found " + std::to_string(all.plans.size()));
  int64_t budget = all.plans[0].params;
  for (const zoo::SampledPlan& s : zoo::sample_plans(partition, 3, {.max_params = budget}, 7)) {
    CHECK(s.plan.params <= budget);
  }
}
