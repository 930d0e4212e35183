#include <doctest/doctest.h>

#include "expect_error.h"
#include "front_by_hand.h"
#include "kintsugi/solvers/reassembly.h"
#include "tests/support/synthetic.h"

namespace kintsugi::solvers {

using test::check_equal;
using test::expect_error;
using test::front_by_hand;
using test::Points;

namespace {

// An assembly's point (objective, then every cost); empty: it is not allowed.
std::vector<double> point_of(const ReassemblyProblem& problem, const std::vector<size_t>& chosen) {
  try {
    const Assembly assembly = evaluate(problem, chosen);
    std::vector<double> point{assembly.objective};
    point.insert(point.end(), assembly.cost.begin(), assembly.cost.end());
    return point;
  } catch (const Error&) {
    return {};
  }
}

Points project(const Points& points, const std::vector<size_t>& resources) {
  Points out;
  for (const auto& p : points) {
    out.push_back({-p[0]});
    for (const size_t r : resources) out.back().push_back(p[1 + r]);
  }
  return out;
}

Points all_points(const ReassemblyProblem& problem) {
  Points points;
  std::vector<size_t> chosen(problem.stages.size(), 0);
  for (bool more = true; more;) {
    if (auto p = point_of(problem, chosen); !p.empty()) points.push_back(std::move(p));
    more = false;
    for (size_t k = 0; k < chosen.size() && !more; ++k) {
      more = ++chosen[k] < problem.stages[k].size();
      if (!more) chosen[k] = 0;
    }
  }
  return points;
}

// Every assembly is worth what it says; their points, sorted.
Points points_of(const ReassemblyProblem& problem, const ReassemblyFront& front,
                 const std::vector<size_t>& resources) {
  Points points;
  for (const Assembly& assembly : front.assemblies) {
    const std::vector<double> again = point_of(problem, assembly.chosen);
    REQUIRE(!again.empty());
    CHECK(again[0] == doctest::Approx(assembly.objective).epsilon(1e-12));
    CHECK(std::equal(assembly.cost.begin(), assembly.cost.end(), again.begin() + 1));
    points.push_back(again);
  }
  Points out = project(points, resources);
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace

TEST_CASE("pareto front: equals that of every combination, under every rule") {
  size_t found = 0, empty = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    CAPTURE(seed);
    test::Random random(seed);
    ReassemblyProblem problem =
        test::random_problem({2 + test::below(random, 4), 1 + test::below(random, 4),
                              0.4 + 1.6 * test::uniform(random), seed % 2 == 1},
                             seed);
    // Small costs tie, so that equal points and beaten ones are many; a third one joins in.
    problem.resources.push_back({"bytes"});
    const auto third = [&](std::vector<double>& cost) {
      if (cost.empty()) return;
      if (seed % 3 == 0) {
        for (double& c : cost) c = std::round(c / 1e6);
      }
      cost.push_back(double(test::below(random, 5)));
    };
    for (auto& stage : problem.stages) {
      for (Candidate& c : stage) {
        third(c.cost);
        third(c.stem_cost);
        third(c.head_cost);
      }
    }
    for (auto& table : problem.stitches) {
      for (auto& row : table) {
        for (Stitch& s : row) third(s.cost);
      }
    }
    if (seed % 5 < 2) test::add_rules(problem, seed);
    const Points all = all_points(problem);
    for (const auto& resources : std::vector<std::vector<size_t>>{
             {0, 1}, {2, 0}, {0, 1, 2}, {1}, {0, problem.resources.size() - 1}}) {
      const ReassemblyFront front = pareto_front(problem, resources);
      CHECK(front.complete);
      CHECK(front.gap == 0);
      CHECK(front.assemblies.empty() == !front.reason.empty());
      check_equal(points_of(problem, front, resources), front_by_hand(project(all, resources)));
      (front.assemblies.empty() ? empty : found) += 1;
    }
  }
  CHECK(found > 300);
  CHECK(empty > 50);
}

TEST_CASE("pareto front: its best is the optimum, and a tighter budget's optimum lies on it") {
  const ReassemblyProblem problem = test::random_problem({8, 4, 0.8}, 3);
  const ReassemblyFront front = pareto_front(problem, {0, 1});
  REQUIRE(front.assemblies.size() > 20);
  CHECK(front.assemblies[0].objective == reassemble(problem).objective);
  for (size_t i = 0; i < front.assemblies.size(); i += 7) {
    ReassemblyProblem tight = problem;
    for (size_t r = 0; r < 2; ++r) tight.resources[r].budget = front.assemblies[i].cost[r];
    CHECK(reassemble(tight).objective == front.assemblies[i].objective);
  }
}

TEST_CASE("pareto front: out of time, assemblies that exist and an honest bound") {
  const ReassemblyProblem problem = test::random_problem({20, 4, 3}, 4);
  const double best = reassemble(problem).objective;
  for (const double seconds : {0.0, 0.002, 0.01}) {
    try {
      const ReassemblyFront front = pareto_front(problem, {0, 1}, {.seconds = seconds});
      points_of(problem, front, {0, 1});
      CHECK(front.bound >= best - 1e-12);
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::kInterrupted);
    }
  }
  // Stopped as soon as there is something to tell.
  std::stop_source early;
  const ReassemblyFront part =
      pareto_front(problem, {0, 1},
                   {.stop = early.get_token(), .progress = [&](double) { early.request_stop(); }});
  CHECK(!part.complete);
  CHECK(!part.assemblies.empty());
  points_of(problem, part, {0, 1});
  CHECK(part.bound >= best - 1e-12);
  CHECK(part.gap == doctest::Approx((part.bound - part.assemblies[0].objective) /
                                    part.assemblies[0].objective));
  std::stop_source source;
  source.request_stop();
  expect_error(ErrorKind::kInterrupted, "stopped", [&] {
    pareto_front(problem, {0, 1}, {.stop = source.get_token()});
  });
}

TEST_CASE("pareto front: malformed questions") {
  const ReassemblyProblem problem = test::random_problem({3, 3, 1}, 1);
  expect_error(ErrorKind::kUsage, "resource 2 of 2", [&] { pareto_front(problem, {0, 2}); });
  expect_error(ErrorKind::kUsage, "params twice", [&] { pareto_front(problem, {0, 1, 0}); });
  expect_error(ErrorKind::kUsage, "no resource", [&] { pareto_front(problem, {}); });
  ReassemblyProblem bad = problem;
  bad.stages[0][0].value = NAN;
  expect_error(ErrorKind::kNumeric, "candidate 0 of stage 1", [&] { pareto_front(bad, {0}); });
}

}  // namespace kintsugi::solvers
