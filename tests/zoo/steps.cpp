// The zoo's steps on a synthetic zoo: small networks with initial weights and images from a formula.
#include <filesystem>
#include <fstream>

#include "kintsugi/zoo/assemble.h"
#include "kintsugi/zoo/datasets/sources.h"
#include "kintsugi/zoo/partition.h"
#include "kintsugi/zoo/similarity.h"
#include "kintsugi/zoo/proxies/naswot.h"
#include "tests/support/compare.h"
#include "tests/zoo/synthetic_zoo.h"

using namespace kintsugi;
using namespace kintsugi::test;
namespace fs = std::filesystem;

TEST_CASE("steps: from a zoo to a stitched network, through all files") {
  Scratch scratch;
  const auto data = images();
  const std::vector<std::string> names{"resnet_nano", "vit_nano_patch4_28", "convformer_nano"};
  zoo::write_zoo(scratch.path / "zoo.json", make_zoo(scratch.path, names));
  const zoo::ZooFile zoo_file = zoo::read_zoo(scratch.path / "zoo.json");
  REQUIRE(zoo_file.models.size() == 3);
  auto members = zoo::load_zoo(zoo_file);

  double last = 0;
  const zoo::SimilarityFile measured = zoo::similarity_of(
      members, data, {.images = 32, .batch_size = 16}, [&](double done) { last = done; });
  CHECK(last == doctest::Approx(1));
  CHECK(measured.images == 32);
  zoo::write_similarity(scratch.path / "sim.json", measured);
  const zoo::SimilarityFile sim = zoo::read_similarity(scratch.path / "sim.json");
  REQUIRE(sim.models.size() == 3);
  size_t positions = 0;
  for (size_t i = 0; i < 3; ++i) {
    CHECK(sim.models[i].name == names[i]);
    CHECK(sim.models[i].out == measured.models[i].out);
    CHECK(fs::equivalent(sim.models[i].weights, measured.models[i].weights));
    positions += size_t(sim.models[i].positions());
  }
  REQUIRE(sim.similarity.rows == positions);
  for (size_t i = 0; i < positions; ++i) {
    CHECK(sim.similarity(i, i) == doctest::Approx(1));
    for (size_t j = 0; j < positions; ++j) {
      CHECK(sim.similarity(i, j) == sim.similarity(j, i));
      CHECK(std::abs(sim.similarity(i, j) - measured.similarity(i, j)) < 1e-6);
    }
  }

  const zoo::PartitionFile made = zoo::partition_zoo(sim, {.k = 4, .epsilon = 0.2});
  zoo::write_partition(scratch.path / "partition.json", made);
  const zoo::PartitionFile partition = zoo::read_partition(scratch.path / "partition.json");
  CHECK(partition.cuts == made.cuts);
  CHECK(partition.gap <= 1e-9);
  REQUIRE(partition.heuristic);
  CHECK(partition.heuristic->objective <= partition.objective + 1e-9);
  double sum = 0;
  for (const auto& set : partition.sets) {
    for (const double s : set.similarity) sum += s;
  }
  CHECK(sum == doctest::Approx(partition.objective).epsilon(1e-6));

  for (const nn::StitchForm form : {nn::StitchForm::kLinear, nn::StitchForm::kDery}) {
    zoo::Reassembly answer =
        zoo::reassemble(partition, {.max_params = 600'000, .form = form, .best = 3});
    REQUIRE(answer.plans.size() == 3);
    CHECK(answer.result.status == solvers::ReassemblyStatus::kOptimal);
    for (const zoo::PlanFile& plan : answer.plans) {
      const nn::Cost cost = zoo::build_plan(plan)->cost();
      CHECK(cost.params == plan.params);
      CHECK(cost.macs == plan.macs);
      CHECK(plan.params <= 600'000);
    }
    CHECK(answer.plans[0].objective >= answer.plans[1].objective);
    zoo::write_plan(scratch.path / "plan.json", answer.plans[0]);
    const zoo::PlanFile plan = zoo::read_plan(scratch.path / "plan.json");
    CHECK(plan.blocks.size() == 4);
    zoo::LoadedNetwork loaded = zoo::load_plan(plan, 3);
    const size_t stitches_in = zoo::stitched_blocks(plan).size();
    CHECK(zoo::stitch_indices(*loaded.network).size() == stitches_in);
    const auto fits = zoo::fit_stitches(*loaded.network, plan, data, 48);
    REQUIRE(fits.size() == stitches_in);
    for (const zoo::FitResult& fit : fits) {
      CHECK(fit.r2 > 0);
      CHECK(fit.r2 <= 1);
    }
    // Its own weights, once trained, replace those of its sources.
    zoo::PlanFile trained = plan;
    trained.weights = scratch.path / "trained.safetensors";
    zoo::save_network(trained.weights, *loaded.network, loaded.card);
    zoo::write_plan(scratch.path / "trained.json", trained);
    const auto again = zoo::load_plan(zoo::read_plan(scratch.path / "trained.json"));
    const auto want = loaded.network->state(), got = again.network->state();
    REQUIRE(want.size() == got.size());
    for (const auto& [name, tensor] : want) {
      CHECK(tensor.to_vector<float>() == got.at(name).to_vector<float>());
    }
    CHECK(zoo::open_network((scratch.path / "trained.json").string()).network->cost().params ==
          plan.params);

    zoo::freeze_sources(*loaded.network);
    int64_t trainable = 0, stitches = 0;
    for (const auto& [name, p] : loaded.network->named_parameters()) {
      if (p.requires_grad()) trainable += p.value().numel();
    }
    for (const size_t i : zoo::stitch_indices(*loaded.network)) {
      stitches += loaded.network->blocks()[i].module->parameter_count();
    }
    CHECK(trainable == stitches + loaded.network->head()->parameter_count());

    const double score =
        zoo::naswot(*loaded.network, test::random_tensor({8, 1, 28, 28}, 3, -1, 1, DType::kF32));
    CHECK(std::isfinite(score));
    CHECK(score > 0);
  }

  const zoo::Reassembly none = zoo::reassemble(partition, {.max_params = 1000});
  CHECK(none.plans.empty());
  CHECK(none.result.status == solvers::ReassemblyStatus::kInfeasible);
  CHECK(none.result.reason.find("1000") != std::string::npos);

  // A source that was changed after the plan was made is told by its digest.
  const zoo::PlanFile plan = zoo::read_plan(scratch.path / "plan.json");
  const zoo::LoadedNetwork other = zoo::fresh_network(plan.blocks[0].model, {}, 77);
  zoo::save_network(plan.blocks[0].weights, *other.network, other.card);
  CHECK_ERROR(zoo::load_plan(plan), "the plan was made for");
}

TEST_CASE("steps: a zoo of one, a name twice, K past the nodes") {
  Scratch scratch;
  zoo::ZooFile one = make_zoo(scratch.path, {"resnet_nano"});
  CHECK_ERROR(zoo::load_zoo(one), "expected at least two");
  one.models.push_back(one.models[0]);
  CHECK_ERROR(zoo::load_zoo(one), "there twice");
  auto members = zoo::load_zoo(make_zoo(scratch.path, {"resnet_nano", "mobilenetv3_nano"}));
  const auto sim = zoo::similarity_of(members, images(), {.images = 16, .batch_size = 16});
  CHECK_ERROR(zoo::partition_zoo(sim, {.k = 9}), "resnet_nano");
}

TEST_CASE("steps: files that are not what they claim") {
  Scratch scratch;
  const fs::path path = scratch.path / "x.json";
  const auto with = [&](const std::string& text) {
    std::ofstream(path) << text;
    return path;
  };
  CHECK_ERROR(zoo::read_zoo(scratch.path / "absent.json"), "No such file");
  CHECK_ERROR(zoo::read_zoo(scratch.path), "it is a folder");
  CHECK_ERROR(zoo::read_zoo(with("{")), "not JSON");
  CHECK_ERROR(zoo::read_zoo(with("[]")), "no JSON object");
  CHECK_ERROR(zoo::read_zoo(with(R"({"format":"kintsugi-zoo/2","models":[]})")), "expected 'kintsugi-zoo/1'");
  CHECK_ERROR(zoo::read_zoo(with(R"({"format":"kintsugi-zoo/1","models":[{"model":3}]})")), "models[0]");
  CHECK_ERROR(zoo::read_similarity(with(R"({"format":"kintsugi-similarity/1","metric":"linear-cka","models":[
      {"name":"a","nodes":["x"],"params":[1],"macs":[1],"kind":["grid"],"in":[[1,2,3]],"out":[[1,2]]}],"similarity":[]})")),
      "has 2 numbers, expected 3");
  CHECK_ERROR(zoo::read_similarity(with(R"({"format":"kintsugi-similarity/1","metric":"linear-cka","models":[
      {"name":"a","nodes":["x"],"params":[1],"macs":[1],"kind":["grid"],"in":[[1,2,3]],"out":[[1,2,3]]}],"similarity":[[1,2]]})")),
      "expected 2 rows of 2 numbers");
  std::string deep;
  for (int i = 0; i < 100000; ++i) deep += "[";
  CHECK_ERROR(zoo::read_plan(with(deep)), "nested deeper");
}

TEST_CASE("steps: a network with other classes and channels") {
  Scratch scratch;
  const zoo::ZooFile file = make_zoo(scratch.path, {"resnet_nano"});
  const fs::path weights = file.models[0].weights;
  const auto plain = zoo::load_network("", weights);
  CHECK(plain.card.architecture == "resnet_nano");
  const auto wide = zoo::load_network("resnet_nano", weights, {.classes = 3, .channels = 3});
  CHECK(wide.network->classes() == 3);
  CHECK(wide.card.preprocessing.mean.size() == 3);
  // Equal channels give the response that the grey image gave.
  autograd::NoGrad no_grad;
  const Tensor grey = test::random_tensor({2, 1, 28, 28}, 5, -1, 1, DType::kF32);
  const Tensor colour = grey.expand({2, 3, 28, 28}).contiguous();
  const Tensor a = (*plain.network->stem())(nn::Variable(grey)).value();
  const Tensor b = (*wide.network->stem())(nn::Variable(colour)).value();
  CHECK(test::error_of(a, b) < 1e-5);
  CHECK_ERROR(zoo::load_network("vit_nano_patch4_28", weights), "holds a resnet_nano");
}
