// What the reference does, and which rules it breaks.
#include <doctest/doctest.h>

#include <set>

#include "expect_error.h"
#include "kintsugi/solvers/compat/dery_partition.h"
#include "kintsugi/solvers/compat/dery_search.h"
#include "tests/support/synthetic.h"

namespace kintsugi::solvers::compat {

using solvers::test::expect_error;

TEST_CASE("dery partition: sets are stages, with the centre twice") {
  PartitionProblem problem = test::zoo(test::kDeryDepths, 0.03, 1);
  const DeryPartition result = dery_partition(problem, 20, 3);
  CHECK(result.cap == 4);  // of the last network's 14 nodes: ceil(14 / 4) * 1.2, cut
  std::set<size_t> stages;
  for (size_t j = 0; j < 4; ++j) {
    CHECK(result.sets[j].size() == 25);
    for (const StagedBlock& b : result.sets[j]) CHECK(b.stage == result.centres[j].stage);
    stages.insert(result.centres[j].stage);
    CHECK(result.sets[j].front() == result.centres[j]);
  }
  CHECK(stages.size() == 4);
  CHECK(result.best_total >= result.total);
  // It breaks the bound that it was given, and the numbers are right.
  size_t over = 0;
  for (size_t m = 0; m < problem.nodes.size(); ++m) {
    size_t last = 0;
    for (size_t k = 0; k < 4; ++k) {
      const size_t end = k < 3 ? result.cuts[m][k] : problem.nodes[m];
      over += double(end - last) > std::ceil(1.2 * double(problem.nodes[m]) / 4 - 1e-9);
      CHECK(end > last);
      last = end;
    }
  }
  CHECK(over == result.over_size);
  CHECK(over > 10);
  size_t stale = 0;
  for (const StagedBlock& c : result.centres) {
    const auto& cuts = result.cuts[c.block.model];
    const size_t first = c.stage == 0 ? 1 : cuts[c.stage - 1] + 1;
    const size_t last = c.stage == 3 ? problem.nodes[c.block.model] : cuts[c.stage];
    stale += c.block.first != first || c.block.last != last;
  }
  CHECK(stale == result.stale_centres);
  CHECK(dery_partition(problem, 20, 3).cuts == result.cuts);
}

TEST_CASE("dery partition: the best is kept by reference, so that it may be lost") {
  size_t lost = 0;
  for (uint64_t seed = 0; seed < 10; ++seed) {
    PartitionProblem problem = test::zoo(test::zoo_depths(12, 0), 0.1, seed);
    const DeryPartition result = dery_partition(problem, 5, seed);
    lost += result.total < result.best_total - 1e-9;
  }
  MESSAGE("lost in ", lost, " of 10");
  CHECK(lost > 0);
}

TEST_CASE("dery partition: refuses what the reference cannot") {
  PartitionProblem problem = test::zoo({4, 8}, 0.03, 1);
  expect_error(ErrorKind::kUsage, "more than k = 4 nodes, but network 0 has 4",
               [&] { dery_partition(problem); });
  problem = test::zoo({8, 8}, 0.03, 1);
  problem.blocks = {4, 3};
  expect_error(ErrorKind::kUsage, "knows no sizes, block counts", [&] { dery_partition(problem); });
}

namespace {

// Three networks of four blocks, the last of tokens; a block's cost is its index + 1, and a
// selection's score its sum of squares.
DerySearchProblem search_problem() {
  DerySearchProblem problem;
  for (size_t m = 0; m < 3; ++m) {
    for (size_t k = 0; k < 4; ++k) {
      problem.blocks.push_back({{m, 3 * k + 1, 3 * k + 3}, k, k, m == 2});
    }
  }
  problem.cost = [](const DeryCandidate& c) -> std::optional<DeryCost> {
    double sum = 0;
    for (const size_t b : c.blocks) sum += double(b + 1);
    return DeryCost{sum, sum};
  };
  problem.score = [](const DeryCandidate& c) {
    double sum = 0;
    for (const size_t b : c.blocks) sum += double(b * b);
    return sum;
  };
  return problem;
}

}  // namespace

TEST_CASE("dery search: never begins with tokens, and goes back to no grid") {
  DerySearchProblem problem = search_problem();
  const DerySearchResult result = dery_search(problem, 100, 1);
  REQUIRE(result.scored);
  // Blocks 4, 9, 10, 11 have the greatest sum: a grid, then tokens.
  CHECK(result.scored->blocks == std::vector<size_t>{4, 9, 10, 11});
  CHECK(result.score == 16 + 81 + 100 + 121);
  CHECK(result.in_budget == result.built);

  // Budgets are strict at both ends.
  problem.most.params = 4 + 1 + 9 + 1 + 10 + 1 + 11 + 1;
  const DerySearchResult below = dery_search(problem, 100, 1);
  REQUIRE(below.scored);
  CHECK(below.score < result.score);
  problem.least.params = problem.most.params - 1;
  CHECK_FALSE(dery_search(problem, 5, 1).scored);
}

TEST_CASE("dery search: strides are drawn again for what is saved, one in ten of them 2") {
  DerySearchProblem problem = search_problem();
  size_t changed = 0, twos = 0, all = 0;
  const auto score = problem.score;
  problem.score = [&](const DeryCandidate& c) {
    for (const size_t s : c.strides) {
      twos += s == 2;
      ++all;
    }
    return score(c);
  };
  for (uint64_t seed = 0; seed < 100; ++seed) {
    changed += dery_search(problem, 10, seed).strides_changed;
  }
  CHECK(changed > 20);
  CHECK(double(twos) / double(all) == doctest::Approx(0.1).epsilon(0.1));
}

TEST_CASE("dery search: two blocks of one set, and blocks that share nodes") {
  DerySearchProblem problem = search_problem();
  // A centre that is stale: stage 1's set, nodes that lie in stage 2's block of the same network.
  problem.blocks[4 + 1].set = 2;
  problem.blocks.push_back({{1, 5, 8}, 2, 2, false});
  size_t shared = 0, overlaps = 0;
  problem.score = [](const DeryCandidate& c) {
    double sum = 0;
    for (const size_t b : c.blocks) sum += b == 5 || b == 12 ? 100 : 1;
    return sum;
  };
  for (uint64_t seed = 0; seed < 10; ++seed) {
    const DerySearchResult result = dery_search(problem, 10, seed);
    if (!result.scored) continue;
    shared += result.shared_sets;
    overlaps += result.overlaps;
  }
  CHECK(shared > 0);
  CHECK(overlaps > 0);
  problem.blocks.clear();
  expect_error(ErrorKind::kUsage, "stage 1 has no blocks", [&] { dery_search(problem); });
}

}  // namespace kintsugi::solvers::compat
