// Scores without training, against the formulas computed term by term.
#include <map>

#include "kintsugi/nn/layers/layers.h"
#include "kintsugi/solvers/naswot.h"
#include "kintsugi/zoo/datasets/subset.h"
#include "kintsugi/zoo/partition.h"
#include "kintsugi/zoo/proxies/batch.h"
#include "kintsugi/zoo/proxies/naswot.h"
#include "kintsugi/zoo/similarity.h"
#include "tests/support/compare.h"
#include "tests/zoo/synthetic_zoo.h"

using namespace kintsugi;
using namespace kintsugi::test;

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
  const zoo::SimilarityFile sim =
      zoo::similarity_of(members, data, {.images = 16, .batch_size = 16});
  const zoo::PartitionFile partition = zoo::partition_zoo(sim, {.k = 3});
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
