#include "kintsugi/solvers/stitch_graph.h"

#include "expect_error.h"
#include "front_by_hand.h"
#include "tests/support/synthetic.h"

namespace kintsugi::solvers {

using test::check_equal;
using test::expect_error;
using test::front_by_hand;
using test::Points;

namespace {

// Walks every path of a problem by recursion, node by node.
struct Walker {
  const StitchGraphProblem& problem;
  std::vector<size_t> first = {};
  Points points = {};

  explicit Walker(const StitchGraphProblem& p) : problem(p) {
    size_t sum = 0;
    for (const StitchNetwork& n : p.networks) {
      first.push_back(sum);
      sum += n.nodes.size() + 1;
    }
    for (size_t i = 0; i < p.networks.size(); ++i) {
      if (!p.networks[i].starts) continue;
      std::vector<double> point(1 + p.resources.size(), 0);
      add(point, 0, p.networks[i].stem_cost);
      walk(i, 0, 0, point);
    }
  }

  static void add(std::vector<double>& point, double value, const std::vector<double>& cost) {
    point[0] -= value;
    for (size_t r = 0; r < cost.size(); ++r) point[1 + r] += cost[r];
  }

  // At the input of node p + 1 of network i.
  void walk(size_t i, size_t p, size_t stitches, std::vector<double> point) {
    const StitchNetwork& here = problem.networks[i];
    add(point, here.nodes[p].value, here.nodes[p].cost);
    ++p;
    if (p == here.nodes.size()) {
      std::vector<double> end = point;
      add(end, 0, here.head_cost);
      bool fits = true;
      for (size_t r = 0; r < problem.resources.size(); ++r) {
        fits &= end[1 + r] <= problem.resources[r].budget;
      }
      if (fits && stitches >= problem.min_stitches) points.push_back(end);
    } else {
      walk(i, p, stitches, point);
    }
    if (stitches == problem.max_stitches) return;
    for (size_t j = 0; j < problem.networks.size(); ++j) {
      const size_t length = problem.networks[j].nodes.size();
      for (size_t q = 0; j != i && q < length; ++q) {
        const double apart = double(p) / double(here.nodes.size()) - double(q) / double(length);
        const double value = problem.stitch_value(first[i] + p, first[j] + q);
        if (std::abs(apart) > problem.depth_slack + 1e-12 || value == -INFINITY) continue;
        std::vector<double> next = point;
        std::vector<double> cost;
        for (const Matrix& m : problem.stitch_cost) cost.push_back(m(first[i] + p, first[j] + q));
        add(next, value, cost);
        walk(j, q, stitches + 1, next);
      }
    }
  }
};

Points points_of(const StitchGraphProblem& problem, const StitchGraphResult& result) {
  Points points;
  double last = INFINITY;
  for (const StitchedNetwork& network : result.front) {
    const StitchedNetwork again = evaluate(problem, network.segments);
    CHECK(again.objective == doctest::Approx(network.objective).epsilon(1e-12));
    CHECK(again.cost == network.cost);
    CHECK(network.objective <= last);
    last = network.objective;
    points.push_back({-network.objective});
    points.back().insert(points.back().end(), network.cost.begin(), network.cost.end());
  }
  std::sort(points.begin(), points.end());
  return points;
}

StitchGraphProblem tiny(uint64_t seed) {
  test::Random random(seed);
  std::vector<size_t> nodes(2 + test::below(random, 2));
  for (size_t& n : nodes) n = 1 + test::below(random, 5);
  StitchGraphProblem problem = test::random_stitch_graph(nodes, seed);
  problem.max_stitches = test::below(random, 4);
  problem.depth_slack = seed % 3 == 0 ? 1 : 0.35;
  problem.min_stitches = test::below(random, problem.max_stitches + 1);
  problem.networks[1].starts = seed % 4 != 0;
  for (double& v : problem.stitch_value.values) {
    if (test::uniform(random) < 0.2) v = -INFINITY;
  }
  return problem;
}

}  // namespace

TEST_CASE("stitch graph: the front equals that of every path") {
  size_t solved = 0, stitched = 0, empty = 0;
  for (uint64_t seed = 0; seed < 220; ++seed) {
    CAPTURE(seed);
    StitchGraphProblem problem = tiny(seed);
    try {
      const StitchGraphResult free = stitch_front(problem);
      CHECK(free.complete);
      if (free.front.empty()) {
        CHECK(Walker(problem).points.empty());
        CHECK(free.reason.find("stitches within a depth slack") != std::string::npos);
        continue;
      }
      CHECK(free.gap == 0);
      const Points all = Walker(problem).points;
      check_equal(points_of(problem, free), front_by_hand(all));
      ++solved;
      for (const StitchedNetwork& network : free.front) stitched += network.segments.size() > 1;
      // Budgets that some of them keep, to the last unit.
      for (const double step : {0.0, 1.0}) {
        const StitchedNetwork& some = free.front[free.front.size() / 2];
        for (size_t r = 0; r < 2; ++r) problem.resources[r].budget = some.cost[r] - step;
        const StitchGraphResult tight = stitch_front(problem);
        CHECK(tight.complete);
        CHECK(tight.front.empty() == !tight.reason.empty());
        check_equal(points_of(problem, tight), front_by_hand(Walker(problem).points));
        empty += tight.front.empty();
        for (const Remedy& remedy : tight.remedies) {
          double least = INFINITY;
          StitchGraphProblem relaxed = problem;
          const size_t r = remedy.limit == "params" ? 0 : 1;
          relaxed.resources[r].budget = INFINITY;
          for (const auto& point : Walker(relaxed).points) least = std::min(least, point[1 + r]);
          CHECK(remedy.needed == least);
        }
      }
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::kInfeasible);
    }
  }
  CHECK(solved > 100);
  CHECK(stitched > 200);
  CHECK(empty > 10);
}

TEST_CASE("stitch graph: one resource, three resources, ties") {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    CAPTURE(seed);
    StitchGraphProblem problem = test::random_stitch_graph({3, 4, 2}, seed);
    problem.depth_slack = 0.5;
    problem.max_stitches = 2;
    if (seed % 2 == 0) {
      problem.resources.pop_back();
      problem.stitch_cost.pop_back();
    } else {
      problem.resources.push_back({"bytes"});
      problem.stitch_cost.emplace_back(problem.stitch_value.rows, problem.stitch_value.rows, 2);
    }
    for (StitchNetwork& network : problem.networks) {
      const auto refit = [&](std::vector<double>& cost) {
        cost.resize(problem.resources.size(), 1);
        for (double& c : cost) c = std::round(c / 5e6);
      };
      for (AtomicNode& node : network.nodes) {
        refit(node.cost);
        node.value = std::round(node.value);
      }
      refit(network.stem_cost);
      refit(network.head_cost);
    }
    const StitchGraphResult result = stitch_front(problem);
    check_equal(points_of(problem, result), front_by_hand(Walker(problem).points));
  }
}

TEST_CASE("stitch graph: without stitches the front is made of whole networks") {
  StitchGraphProblem problem = test::random_stitch_graph({5, 6, 7, 8}, 3);
  problem.max_stitches = 0;
  const StitchGraphResult result = stitch_front(problem);
  REQUIRE(!result.front.empty());
  for (const StitchedNetwork& network : result.front) {
    REQUIRE(network.segments.size() == 1);
    CHECK(network.segments[0].first == 1);
    CHECK(network.segments[0].last == problem.networks[network.segments[0].model].nodes.size());
  }
}

TEST_CASE("stitch graph: stopped, networks that exist and an honest bound") {
  const StitchGraphProblem problem = test::random_stitch_graph({9, 12, 7, 10, 8}, 5);
  const StitchGraphResult whole = stitch_front(problem);
  std::stop_source source;
  // Stopped after the layer without stitches.
  const StitchGraphResult part = stitch_front(
      problem, {.stop = source.get_token(), .progress = [&](double) { source.request_stop(); }});
  CHECK(!part.complete);
  REQUIRE(!part.front.empty());
  points_of(problem, part);
  CHECK(part.bound >= whole.front[0].objective - 1e-12);
  CHECK(part.gap > 0);
  expect_error(ErrorKind::kInterrupted, "stopped",
               [&] { stitch_front(problem, {.stop = source.get_token()}); });
}

TEST_CASE("stitch graph: malformed problems") {
  const StitchGraphProblem good = test::random_stitch_graph({3, 4}, 1);
  const auto refuse = [&](ErrorKind kind, const char* phrase, auto change) {
    StitchGraphProblem bad = good;
    change(bad);
    expect_error(kind, phrase, [&] { stitch_front(bad); });
  };
  refuse(ErrorKind::kUsage, "no networks", [](auto& p) { p.networks.clear(); });
  refuse(ErrorKind::kUsage, "network 1 has no nodes", [](auto& p) { p.networks[1].nodes.clear(); });
  refuse(ErrorKind::kUsage, "no resource", [](auto& p) { p.resources.clear(); });
  refuse(ErrorKind::kUsage, "budget of macs is -1", [](auto& p) { p.resources[1].budget = -1; });
  refuse(ErrorKind::kUsage, "budget of params is nan",
         [](auto& p) { p.resources[0].budget = NAN; });
  refuse(ErrorKind::kUsage, "slack is nan", [](auto& p) { p.depth_slack = NAN; });
  refuse(ErrorKind::kUsage, "expected 0 to 64", [](auto& p) { p.max_stitches = 65; });
  refuse(ErrorKind::kNumeric, "value of node 2 of network 1",
         [](auto& p) { p.networks[1].nodes[1].value = INFINITY; });
  refuse(ErrorKind::kUsage, "a cost of node 1 of network 0 is -2",
         [](auto& p) { p.networks[0].nodes[0].cost[1] = -2; });
  refuse(ErrorKind::kShape, "the stem of network 0 has 1 costs for 2",
         [](auto& p) { p.networks[0].stem_cost.pop_back(); });
  refuse(ErrorKind::kShape, "values of stitches are 2 by 2, expected 9 by 9",
         [](auto& p) { p.stitch_value = Matrix(2, 2); });
  refuse(ErrorKind::kShape, "1 costs for 2", [](auto& p) { p.stitch_cost.pop_back(); });
  refuse(ErrorKind::kNumeric, "from node 3 of network 0 to node 4 of network 1 is nan",
         [](auto& p) {
           p.depth_slack = 1;
           p.stitch_value(3, 4 + 3) = NAN;
         });
  refuse(ErrorKind::kUsage, "a cost of the stitch from node 3 of network 0", [](auto& p) {
    p.depth_slack = 1;
    p.stitch_cost[1](3, 4 + 3) = NAN;
  });
  refuse(ErrorKind::kInfeasible, "no two networks can be stitched", [](auto& p) {
    std::fill(p.stitch_value.values.begin(), p.stitch_value.values.end(), -INFINITY);
  });
  const auto reject = [&](const char* phrase, const std::vector<Block>& segments) {
    expect_error(ErrorKind::kUsage, phrase, [&] { evaluate(good, segments); });
  };
  reject("no segments", {});
  reject("segment 1 does not exist", {{2, 1, 1}});
  reject("starts at node 2", {{0, 2, 3}});
  reject("ends at node 2", {{0, 1, 2}});
  reject("cannot be stitched", {{0, 1, 1}, {1, 4, 4}});
}

}  // namespace kintsugi::solvers
