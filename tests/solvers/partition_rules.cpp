// The rules of a partition, mixed at random: sizes, block counts, cuts, anchors.
#include <doctest/doctest.h>

#include "expect_error.h"
#include "kintsugi/solvers/partition.h"
#include "tests/support/synthetic.h"

namespace kintsugi::solvers {

using test::expect_error;

namespace {

// A tiny problem with some of the rules; it may have no answer.
PartitionProblem with_rules(uint64_t seed) {
  test::Random random(seed);
  const auto chance = [&](double p) { return test::uniform(random) < p; };
  std::vector<size_t> nodes(2 + test::below(random, 3));
  for (size_t& n : nodes) n = 3 + test::below(random, 5);
  PartitionProblem p = test::zoo(nodes, chance(0.3) ? 0.4 : 0.05, seed);
  if (chance(0.3)) {
    for (double& s : p.similarity.values) s = 2 * test::uniform(random) - 1;  // not symmetric
  }
  p.sets = 1 + test::below(random, nodes.size() == 4 ? 3 : 4);
  p.epsilon = 2 * test::uniform(random);
  if (chance(0.2)) p.size_bound = SizeBound::kStrict;
  if (chance(0.5)) {
    for (const size_t n : nodes) {
      p.sizes.emplace_back();
      for (size_t i = 0; i < n; ++i) p.sizes.back().push_back(double(test::below(random, 6)));
    }
  }
  if (chance(0.5)) {
    for (const size_t n : nodes) p.blocks.push_back(1 + test::below(random, std::min(p.sets, n)));
  }
  for (size_t m = 0; m < nodes.size(); ++m) {
    if (chance(0.25)) p.must_cut.push_back({m, 1 + test::below(random, nodes[m] - 1)});
    if (chance(0.25)) p.must_not_cut.push_back({m, 1 + test::below(random, nodes[m] - 1)});
    if (chance(0.2)) p.forced.push_back(m);
    if (chance(0.2) || (!p.forced.empty() && p.forced.back() == m)) p.anchors_from.push_back(m);
  }
  if (chance(0.5)) p.anchors_from.clear();
  return p;
}

}  // namespace

TEST_CASE("partition: exact equals every partition tried, under all rules at once") {
  size_t solved = 0, infeasible = 0, nulls = 0;
  for (uint64_t seed = 0; seed < 1500; ++seed) {
    const PartitionProblem problem = with_rules(seed);
    CAPTURE(seed);
    PartitionResult oracle;
    try {
      oracle = exact_partition(problem, {.solver = PartitionSolver::kExhaustive});
    } catch (const Error& error) {
      REQUIRE((error.kind() == ErrorKind::kInfeasible || error.kind() == ErrorKind::kUsage));
      ++infeasible;
      CHECK_THROWS_AS(exact_partition(problem, {.restarts = 1}), Error);
      continue;
    }
    ++solved;
    nulls += !problem.blocks.empty();
    const PartitionResult exact = exact_partition(problem, {.restarts = 1, .seed = seed});
    CHECK(exact.optimal);
    CHECK(exact.gap == 0);
    CHECK(exact.best.objective == doctest::Approx(oracle.best.objective).epsilon(1e-12));
    CHECK(evaluate(problem, exact.best) == doctest::Approx(exact.best.objective).epsilon(1e-12));
  }
  CHECK(solved > 500);
  CHECK(nulls > 100);
  CHECK(infeasible > 50);
}

TEST_CASE("partition: free sets equal every partition with every choice of anchors") {
  size_t solved = 0, infeasible = 0;
  for (uint64_t seed = 0; seed < 500; ++seed) {
    PartitionProblem problem = with_rules(seed);
    problem.free_sets = true;
    if (seed % 3 == 0) {
      problem.blocks.clear();
      problem.must_cut.clear();
    }
    CAPTURE(seed);
    PartitionResult oracle;
    try {
      oracle = exact_partition(problem, {.solver = PartitionSolver::kExhaustive});
    } catch (const Error& error) {
      ++infeasible;
      CHECK_THROWS_AS(exact_partition(problem, {.restarts = 1}), Error);
      continue;
    }
    ++solved;
    const PartitionResult exact = exact_partition(problem, {.restarts = 1, .seed = seed});
    CHECK(exact.optimal);
    CHECK(exact.gap == 0);
    CHECK(exact.best.objective == doctest::Approx(oracle.best.objective).epsilon(1e-12));
    CHECK(evaluate(problem, exact.best) == doctest::Approx(exact.best.objective).epsilon(1e-12));
  }
  CHECK(solved > 150);
  CHECK(infeasible > 25);
}

TEST_CASE("partition: free sets are no worse than tied ones, and stand in the order of depth") {
  for (uint64_t seed = 0; seed < 3; ++seed) {
    PartitionProblem problem = test::zoo({16, 8, 12, 15, 18}, 0.15, seed);
    problem.epsilon = 0.5;
    const double tied = exact_partition(problem).best.objective;
    problem.free_sets = true;
    const PartitionResult free = exact_partition(problem);
    CHECK(free.optimal);
    CHECK(free.best.objective >= tied - 1e-9);
    double last = 0;
    for (const Block& a : free.best.anchors) {
      const double depth = double(a.first + a.last) / double(problem.nodes[a.model]);
      CHECK(depth >= last);
      last = depth;
    }
    Control control;
    control.seconds = 0.002;
    const PartitionResult cut = exact_partition(problem, {.restarts = 1}, control);
    CHECK(cut.bound >= free.best.objective - 1e-9);
    CHECK(evaluate(problem, cut.best) == doctest::Approx(cut.best.objective));
  }
}

TEST_CASE("partition: GLPK says the same, tied and free") {
  if (!has_partition_solver(PartitionSolver::kGlpk)) return;
  size_t solved = 0;
  for (uint64_t seed = 0; seed < 60; ++seed) {
    PartitionProblem problem = with_rules(seed);
    problem.free_sets = seed % 6 == 0;
    CAPTURE(seed);
    PartitionResult own;
    try {
      own = exact_partition(problem);
    } catch (const Error&) {
      CHECK_THROWS_AS(exact_partition(problem, {.solver = PartitionSolver::kGlpk}), Error);
      continue;
    }
    const PartitionResult glpk = exact_partition(problem, {.solver = PartitionSolver::kGlpk});
    CHECK(glpk.optimal);
    CHECK(glpk.best.objective == doctest::Approx(own.best.objective).epsilon(1e-7));
    CHECK(evaluate(problem, glpk.best) == doctest::Approx(glpk.best.objective).epsilon(1e-12));
    ++solved;
  }
  CHECK(solved > 20);
  expect_error(ErrorKind::kUsage, "glpk is for small zoos", [] {
    exact_partition(test::zoo(test::zoo_depths(24, 0), 0, 0), {.solver = PartitionSolver::kGlpk});
  });
}

TEST_CASE("partition: the heuristics keep to the rules") {
  size_t solved = 0;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    const PartitionProblem problem = with_rules(seed);
    CAPTURE(seed);
    try {
      const double best = exact_partition(problem).best.objective;
      for (const auto heuristic : {lloyd_partition, swap_partition}) {
        const Partition found = heuristic(problem, 20, seed, {}).best;
        CHECK(evaluate(problem, found) <= best + 1e-9);
      }
      ++solved;
    } catch (const Error&) {
    }
  }
  CHECK(solved > 100);
}

TEST_CASE("partition: a network of fewer blocks stands in the sets that suit it") {
  PartitionProblem problem = test::zoo({8, 8, 8}, 0, 1);
  problem.blocks = {4, 4, 2};
  problem.epsilon = 1;
  // Network 2 is like the others' first half throughout.
  for (size_t p = 0; p < 9; ++p) {
    for (size_t q = 0; q < 18; ++q) {
      const double s = std::exp(-std::abs(double(p) / 2 - double(q % 9)));
      problem.similarity(18 + p, q) = problem.similarity(q, 18 + p) = s;
    }
  }
  const PartitionResult exact = exact_partition(problem);
  CHECK(exact.optimal);
  CHECK(exact.best.cuts[2].size() == 1);
  CHECK(exact.best.set_of[2] == std::vector<size_t>{0, 1});
  CHECK(exact.best.set_of[0] == std::vector<size_t>{0, 1, 2, 3});
}

TEST_CASE("partition: sizes, cuts and anchors do what they say") {
  PartitionProblem problem = test::zoo({8, 9, 10}, 0.05, 3);
  problem.sets = 2;
  problem.epsilon = 0;
  problem.sizes = {{8, 1, 1, 1, 1, 1, 1, 2}, std::vector<double>(9, 1), std::vector<double>(10, 1)};
  CHECK(exact_partition(problem).best.cuts[0] == std::vector<size_t>{1});
  problem.epsilon = 1;
  problem.must_cut = {{0, 5}};
  problem.must_not_cut = {{1, 3}, {1, 4}, {1, 5}};
  problem.forced = {2};
  problem.anchors_from = {1, 2};
  const Partition best = exact_partition(problem).best;
  CHECK(best.cuts[0] == std::vector<size_t>{5});
  CHECK((best.cuts[1][0] < 3 || best.cuts[1][0] > 5));
  CHECK(best.anchors[0].model != 0);
  CHECK(best.anchors[1].model != 0);
  CHECK((best.anchors[0].model == 2 || best.anchors[1].model == 2));
}

TEST_CASE("partition: rules that cannot be are named") {
  PartitionProblem good = test::zoo({8, 9, 16}, 0.05, 1);
  good.names = {"a", "b", "c"};
  const auto refuse = [&](ErrorKind kind, const char* phrase, auto change) {
    PartitionProblem bad = good;
    change(bad);
    expect_error(kind, phrase, [&] { exact_partition(bad); });
  };
  refuse(ErrorKind::kUsage, "5 blocks of 'b', expected 1 to k = 4",
         [](auto& p) { p.blocks = {4, 5, 4}; });
  refuse(ErrorKind::kUsage, "block counts of 2 networks", [](auto& p) { p.blocks = {4, 4}; });
  refuse(ErrorKind::kInfeasible, "only 3 blocks", [](auto& p) { p.blocks = {1, 1, 1}; });
  refuse(ErrorKind::kUsage, "a cut after node 9 of 'b', expected 1 to 8",
         [](auto& p) { p.must_cut = {{1, 9}}; });
  refuse(ErrorKind::kUsage, "both must and must not be cut after node 3", [](auto& p) {
    p.must_cut = {{1, 3}};
    p.must_not_cut = {{1, 3}};
  });
  refuse(ErrorKind::kUsage, "must be cut in 4 places, but has only 4 blocks",
         [](auto& p) { p.must_cut = {{0, 1}, {0, 2}, {0, 3}, {0, 4}}; });
  refuse(ErrorKind::kUsage, "may be cut in only 2 places",
         [](auto& p) { p.must_not_cut = {{0, 1}, {0, 2}, {0, 3}, {0, 4}, {0, 5}}; });
  refuse(ErrorKind::kUsage, "'a' is to give an anchor, but is not among", [](auto& p) {
    p.forced = {0};
    p.anchors_from = {1};
  });
  refuse(ErrorKind::kUsage, "forced 'a' twice", [](auto& p) { p.forced = {0, 0}; });
  refuse(ErrorKind::kUsage, "anchors from network 7", [](auto& p) { p.anchors_from = {7}; });
  refuse(ErrorKind::kUsage, "has size -1", [](auto& p) {
    p.sizes = {std::vector<double>(8, 1), std::vector<double>(9, -1), std::vector<double>(16, 1)};
  });
  refuse(ErrorKind::kUsage, "8 sizes, expected one for each of its 9", [](auto& p) {
    p.sizes = {std::vector<double>(8, 1), std::vector<double>(8, 1), std::vector<double>(16, 1)};
  });
  // The greatest node decides, and the epsilon that is named will do.
  PartitionProblem lopsided = good;
  lopsided.sizes = {std::vector<double>(8, 1), std::vector<double>(9, 1), std::vector<double>(16, 1)};
  lopsided.sizes[2][3] = 85;
  try {
    exact_partition(lopsided);
    FAIL("no error");
  } catch (const Error& error) {
    const std::string text = error.what();
    CHECK(text.find("allows 'c' blocks of 30 in size, too few for its 100") != std::string::npos);
    lopsided.epsilon = std::stod(text.substr(text.rfind(' ') + 1));
  }
  CHECK(exact_partition(lopsided).optimal);
  lopsided.epsilon -= 2e-4;
  CHECK_THROWS_AS(exact_partition(lopsided), Error);
  // Only a search can tell: network 0 may anchor, but has too few blocks for all sets.
  refuse(ErrorKind::kInfeasible, "no choice of anchors", [](auto& p) {
    p.blocks = {2, 4, 4};
    p.anchors_from = {0};
  });
}

TEST_CASE("partition: evaluate sees every rule broken") {
  PartitionProblem problem = test::zoo({8, 9, 10}, 0.05, 1);
  problem.names = {"a", "b", "c"};
  problem.blocks = {4, 4, 3};
  problem.must_cut = {{0, 2}};
  problem.must_not_cut = {{1, 4}};
  problem.epsilon = 1;
  problem.anchors_from = {0, 1};
  problem.forced = {1};
  const Partition good = exact_partition(problem).best;
  const auto refuse = [&](const char* phrase, auto change) {
    Partition bad = good;
    change(bad);
    expect_error(ErrorKind::kUsage, phrase, [&] { evaluate(problem, bad); });
  };
  refuse("'a' is not cut after node 2", [](auto& p) { p.cuts[0] = {3, 5, 6}; });
  refuse("'b' is cut after node 4", [](auto& p) { p.cuts[1] = {2, 4, 6}; });
  refuse("stands in set 1, expected a later one", [](auto& p) { p.set_of[2] = {0, 0, 1}; });
  refuse("stands in set 5", [](auto& p) { p.set_of[2] = {0, 1, 4}; });
  refuse("of 'c', which may give none", [&](auto& p) {
    const size_t k = p.set_of[2][0];
    p.anchors[k] = block_of(problem, p, 2, 0);
  });
  refuse("'b' gives no anchor", [&](auto& p) {
    for (size_t k = 0; k < 4; ++k) p.anchors[k] = block_of(problem, p, 0, k);
  });
}

}  // namespace kintsugi::solvers
