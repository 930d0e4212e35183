#include "kintsugi/solvers/partition.h"

#include <doctest/doctest.h>

#include "expect_error.h"
#include "tests/support/synthetic.h"

namespace kintsugi::solvers {

using test::expect_error;

namespace {

void check_against_oracle(const PartitionProblem& problem) {
  const PartitionResult oracle = exact_partition(problem, {.solver = PartitionSolver::kExhaustive});
  const PartitionResult exact = exact_partition(problem, {.restarts = 1, .seed = 1});
  CHECK(exact.best.objective == doctest::Approx(oracle.best.objective).epsilon(1e-12));
  CHECK(exact.optimal);
  CHECK(exact.gap == 0);
  CHECK(exact.bound == exact.best.objective);
  CHECK(evaluate(problem, exact.best) == doctest::Approx(exact.best.objective).epsilon(1e-12));
}

}  // namespace

TEST_CASE("partition: exact equals every partition tried") {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    test::Random random(seed);
    std::vector<size_t> nodes;
    const size_t networks = 2 + test::below(random, 3);
    for (size_t i = 0; i < networks; ++i) nodes.push_back(4 + test::below(random, 5));
    for (const double epsilon : {0.0, 0.5, 2.0}) {
      PartitionProblem problem = test::zoo(nodes, seed % 3 == 0 ? 0.3 : 0.05, seed);
      problem.sets = 1 + test::below(random, 4);
      problem.epsilon = epsilon;
      CAPTURE(seed);
      CAPTURE(epsilon);
      check_against_oracle(problem);
    }
  }
}

TEST_CASE("partition: exact on pure noise, asymmetric and with ties") {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    test::Random random(seed);
    PartitionProblem problem = test::zoo({5, 6, 7}, 0, seed);
    problem.sets = 3;
    problem.epsilon = 1;
    for (double& s : problem.similarity.values) {
      s = 2 * test::uniform(random) - 1;
      if (seed % 2 == 0) s = std::round(2 * s) / 2;
    }
    CAPTURE(seed);
    check_against_oracle(problem);
  }
}

TEST_CASE("partition: an anchor's own cuts bind, though others would serve its network better") {
  PartitionProblem problem = test::zoo({4, 4}, 0, 0);
  problem.sets = 2;
  problem.epsilon = 0.5;
  problem.similarity = Matrix(10, 10, 0);
  // Cut 1 of network 1 is like cut 3 of network 0 and its own diagonal is low: were anchors free of
  // the partition, network 0 would be cut at 2 while its cut at 3 anchors.
  problem.similarity(6, 3) = problem.similarity(3, 6) = 1;
  problem.similarity(2, 2) = 1;
  check_against_oracle(problem);
}

TEST_CASE("partition: heuristics give feasible answers, never above the optimum") {
  for (uint64_t seed = 0; seed < 10; ++seed) {
    PartitionProblem problem = test::zoo({16, 8, 12, 24, 15, 18}, 0.05, seed);
    problem.epsilon = 0.1 * double(seed);
    const PartitionResult exact = exact_partition(problem);
    const PartitionResult lloyd = lloyd_partition(problem, 20, seed);
    const PartitionResult swap = swap_partition(problem, 20, seed);
    CHECK(exact.optimal);
    for (const PartitionResult& r : {lloyd, swap}) {
      CHECK(evaluate(problem, r.best) == doctest::Approx(r.best.objective));
      CHECK(r.best.objective <= exact.best.objective + 1e-9);
      CHECK(r.best.objective > 0.9 * exact.best.objective);
      CHECK_FALSE(r.optimal);
    }
    CHECK(swap_partition(problem, 5, seed).best.cuts == swap_partition(problem, 5, seed).best.cuts);
  }
}

TEST_CASE("partition: size bounds as the contract writes them") {
  CHECK(block_cap(20, 4, 0.2, SizeBound::kCeil) == 6);
  CHECK(block_cap(20, 4, 0.2, SizeBound::kStrict) == 5);
  CHECK(block_cap(16, 4, 0.2, SizeBound::kCeil) == 5);
  CHECK(block_cap(16, 4, 0.2, SizeBound::kStrict) == 4);
  CHECK(block_cap(12, 4, 0, SizeBound::kCeil) == 3);
  CHECK(block_cap(12, 4, 0, SizeBound::kStrict) == 2);
  CHECK(block_cap(5, 1, 10, SizeBound::kCeil) == 5);
  // DeRy's zoo: 1,984 partitions under the ceiling, 13 single ones under the strict bound.
  PartitionProblem dery;
  dery.nodes = {16, 33, 8,  16, 16, 16, 16, 16, 12, 12, 12, 12,
                12, 24, 15, 27, 27, 27, 18, 21, 27, 17, 20, 14};
  uint64_t total = 0;
  for (const uint64_t c : count_partitions(dery)) total += c;
  CHECK(total == 1984);
  dery.size_bound = SizeBound::kStrict;
  const std::vector<uint64_t> counts = count_partitions(dery);
  CHECK(std::count(counts.begin(), counts.end(), uint64_t{1}) == 13);
}

TEST_CASE("partition: the whole zoo of 24 is solved to optimality") {
  PartitionProblem problem = test::zoo({16, 33, 8,  16, 16, 16, 16, 16, 12, 12, 12, 12,
                                        12, 24, 15, 27, 27, 27, 18, 21, 27, 17, 20, 14},
                                       0.03, 7);
  double last = 0;
  for (const double epsilon : {0.2, 0.5, 1.0}) {
    problem.epsilon = epsilon;
    const PartitionResult result = exact_partition(problem);
    CHECK(result.optimal);
    CHECK(result.best.objective >= last - 1e-9);  // more room, no worse
    last = result.best.objective;
  }
}

TEST_CASE("partition: out of time or stopped, the bound still holds") {
  PartitionProblem problem = test::zoo({16, 33, 8, 16, 24, 27}, 0.3, 3);
  problem.epsilon = 1;
  const PartitionResult whole = exact_partition(problem);
  REQUIRE(whole.optimal);
  for (const double seconds : {0.0, 0.001, 0.003, 0.01}) {
    Control control;
    control.seconds = seconds;
    const PartitionResult cut = exact_partition(problem, {.restarts = 2}, control);
    CHECK(cut.bound >= whole.best.objective - 1e-9);
    CHECK(cut.best.objective <= whole.best.objective + 1e-9);
    CHECK(evaluate(problem, cut.best) == doctest::Approx(cut.best.objective));
  }
  std::stop_source source;
  source.request_stop();
  Control stopped;
  stopped.stop = source.get_token();
  CHECK(exact_partition(problem, {}, stopped).bound >= whole.best.objective - 1e-9);

  double last = 0;
  Control told;
  told.progress = [&](double fraction) {
    CHECK(fraction >= last);
    last = fraction;
  };
  exact_partition(problem, {}, told);
  CHECK(last == 1);
}

TEST_CASE("partition: errors name what is wrong") {
  const PartitionProblem good = test::zoo({8, 9, 16}, 0.05, 1);
  const auto refuse = [&](ErrorKind kind, const char* phrase, auto change) {
    PartitionProblem bad = good;
    change(bad);
    expect_error(kind, phrase, [&] { exact_partition(bad); });
  };
  refuse(ErrorKind::kUsage, "a zoo of one network: reassembly needs at least two", [](auto& p) {
    p.nodes = {8};
    p.similarity = Matrix(9, 9, 1);
  });
  refuse(ErrorKind::kUsage, "'small' has only 8 nodes", [](auto& p) {
    p.names = {"small", "b", "c"};
    p.sets = 9;
  });
  refuse(ErrorKind::kUsage, "k is 0", [](auto& p) { p.sets = 0; });
  refuse(ErrorKind::kUsage, "epsilon is -0.1", [](auto& p) { p.epsilon = -0.1; });
  refuse(ErrorKind::kShape, "expected a square one", [](auto& p) { p.similarity.cols -= 1; });
  refuse(ErrorKind::kShape, "33 nodes have 36", [](auto& p) { p.similarity = Matrix(35, 35, 1); });
  refuse(ErrorKind::kNumeric, "is nan", [](auto& p) { p.similarity(3, 4) = NAN; });
  refuse(ErrorKind::kNumeric, "is 1.5", [](auto& p) { p.similarity(3, 4) = 1.5; });
  refuse(ErrorKind::kInfeasible, "network 0 blocks of 1 nodes", [](auto& p) {
    p.size_bound = SizeBound::kStrict;
    p.epsilon = 0;
  });
  expect_error(ErrorKind::kUsage, "0 restarts", [&] { swap_partition(good, 0); });
  expect_error(ErrorKind::kUsage, "too many", [] {
    exact_partition(test::zoo({50, 50, 50}, 0, 0), {.solver = PartitionSolver::kExhaustive});
  });
}

TEST_CASE("partition: the smallest epsilon of the message does") {
  PartitionProblem problem = test::zoo({8, 9, 16, 13}, 0.05, 1);
  problem.size_bound = SizeBound::kStrict;
  problem.epsilon = 0;
  try {
    exact_partition(problem);
    FAIL("no error");
  } catch (const Error& error) {
    const std::string text = error.what();
    problem.epsilon = std::stod(text.substr(text.rfind(' ') + 1));
  }
  CHECK(exact_partition(problem).optimal);
  problem.epsilon -= 2e-4;
  CHECK_THROWS_AS(exact_partition(problem), Error);
}

TEST_CASE("partition: evaluate refuses what breaks a rule") {
  const PartitionProblem problem = test::zoo({8, 9}, 0.05, 1);
  const Partition good = exact_partition(problem).best;
  Partition bad = good;
  bad.cuts[0][0] = bad.cuts[0][1];
  expect_error(ErrorKind::kUsage, "block 1 of network 0 is nodes 1 to 4",
               [&] { evaluate(problem, bad); });
  bad = good;
  bad.anchors[1].last += 1;
  expect_error(ErrorKind::kUsage, "anchor of set 2", [&] { evaluate(problem, bad); });
  bad = good;
  bad.cuts[1].pop_back();
  expect_error(ErrorKind::kUsage, "has 2 cuts, expected 3", [&] { evaluate(problem, bad); });
}

}  // namespace kintsugi::solvers
