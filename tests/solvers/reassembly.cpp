#include "kintsugi/solvers/reassembly.h"

#include <doctest/doctest.h>

#include <map>

#include "expect_error.h"
#include "kintsugi/solvers/reassembly/graph.h"
#include "tests/support/synthetic.h"

namespace kintsugi::solvers {

using test::expect_error;

namespace {

ReassemblyResult run(const ReassemblyProblem& problem, ReassemblySolver solver, size_t best = 1,
                     size_t diversity = 1) {
  return reassemble(problem, {.solver = solver, .best = best, .diversity = diversity});
}

std::vector<ReassemblySolver> rivals() {
  std::vector<ReassemblySolver> out = {ReassemblySolver::kLabels};
  if (available(ReassemblySolver::kGlpk)) out.push_back(ReassemblySolver::kGlpk);
  return out;
}

// Whether any combination keeps all rules, by plain counting.
bool feasible_by_hand(const ReassemblyProblem& problem) {
  std::vector<size_t> chosen(problem.stages.size(), 0);
  for (bool more = true; more;) {
    try {
      evaluate(problem, chosen);
      return true;
    } catch (const Error&) {
    }
    more = false;
    for (size_t k = 0; k < chosen.size() && !more; ++k) {
      more = ++chosen[k] < problem.stages[k].size();
      if (!more) chosen[k] = 0;
    }
  }
  return false;
}

// The problem with one limit at `value` (or, of a set, relaxed by `names`).
ReassemblyProblem eased(ReassemblyProblem problem, const Remedy& remedy, double value) {
  for (Resource& r : problem.resources) {
    if (r.name == remedy.limit) r.budget = value;
  }
  if (remedy.limit == "max_per_model") problem.max_per_model = size_t(value);
  if (remedy.limit == "min_models") problem.min_models = size_t(value);
  if (remedy.limit == "max_sources") problem.max_sources = size_t(value);
  if (remedy.limit == "grids_before_tokens") problem.grids_before_tokens = false;
  const auto named = [&](size_t k, size_t c) {
    return std::count(remedy.names.begin(), remedy.names.end(),
                      reassembly::candidate_name(problem, k, c)) > 0;
  };
  if (remedy.limit == "licences") {
    problem.licences.insert(problem.licences.end(), remedy.names.begin(), remedy.names.end());
  }
  for (size_t k = 0; k < problem.stages.size(); ++k) {
    for (size_t c = 0; c < problem.stages[k].size(); ++c) {
      if (remedy.limit == "forced" && named(k, c)) {
        for (Candidate& each : problem.stages[k]) each.forced = false;
      }
      if (remedy.limit == "forbidden" && named(k, c)) problem.stages[k][c].forbidden = false;
    }
  }
  return problem;
}

// The limit dropped altogether.
ReassemblyProblem dropped(ReassemblyProblem problem, const std::string& limit) {
  if (limit == "forced" || limit == "forbidden") {
    for (auto& stage : problem.stages) {
      for (Candidate& c : stage) (limit == "forced" ? c.forced : c.forbidden) = false;
    }
    return problem;
  }
  if (limit == "licences") problem.licences.clear();
  const bool least = limit == "min_models";
  return eased(problem, {limit},
               least ? 1
               : limit == "max_sources" || limit == "max_per_model"
                   ? double(problem.stages.size())
                   : std::numeric_limits<double>::infinity());
}

}  // namespace

TEST_CASE("reassembly: all solvers agree on hundreds of small problems") {
  size_t feasible = 0, infeasible = 0;
  for (uint64_t seed = 0; seed < 500; ++seed) {
    test::Random random(seed);
    const test::ProblemShape shape{2 + test::below(random, 4), 1 + test::below(random, 5),
                                   0.25 + 0.8 * test::uniform(random), seed % 2 == 1};
    ReassemblyProblem problem = test::random_problem(shape, seed);
    if (seed % 5 < 2) test::add_rules(problem, seed);
    const ReassemblyResult oracle = run(problem, ReassemblySolver::kExhaustive);
    for (const ReassemblySolver solver : rivals()) {
      CAPTURE(seed);
      CAPTURE(to_string(solver));
      const ReassemblyResult result = run(problem, solver);
      CHECK(to_string(result.status) == std::string(to_string(oracle.status)));
      if (oracle.status != ReassemblyStatus::kOptimal) {
        CHECK(result.reason == oracle.reason);
        continue;
      }
      CHECK(result.objective == doctest::Approx(oracle.objective).epsilon(1e-9));
      CHECK(result.gap == doctest::Approx(0).epsilon(1e-6));
      const Assembly again = evaluate(problem, result.assemblies[0].chosen);
      CHECK(again.objective == result.objective);
      CHECK(again.cost == result.assemblies[0].cost);
    }
    (oracle.status == ReassemblyStatus::kOptimal ? feasible : infeasible) += 1;
  }
  CHECK(feasible > 80);
  CHECK(infeasible > 50);
}

TEST_CASE("reassembly: the k best, and k that differ") {
  for (uint64_t seed = 0; seed < 12; ++seed) {
    const ReassemblyProblem problem = test::random_problem({5, 4, 0.7}, seed);
    for (const size_t diversity : {1, 2, 4}) {
      const ReassemblyResult oracle = run(problem, ReassemblySolver::kExhaustive, 8, diversity);
      for (const ReassemblySolver solver : rivals()) {
        CAPTURE(seed);
        CAPTURE(diversity);
        CAPTURE(to_string(solver));
        const ReassemblyResult result = run(problem, solver, 8, diversity);
        REQUIRE(result.assemblies.size() == oracle.assemblies.size());
        for (size_t i = 0; i < result.assemblies.size(); ++i) {
          const Assembly& assembly = result.assemblies[i];
          CHECK(assembly.objective ==
                doctest::Approx(oracle.assemblies[i].objective).epsilon(1e-9));
          CHECK_NOTHROW(evaluate(problem, assembly.chosen));
          for (size_t j = 0; j < i; ++j) {
            size_t differing = 0;
            for (size_t k = 0; k < 4; ++k) {
              differing += assembly.chosen[k] != result.assemblies[j].chosen[k];
            }
            CHECK(differing >= diversity);
          }
        }
      }
    }
  }
}

TEST_CASE("reassembly: budgets are exact to the last unit") {
  for (uint64_t seed = 0; seed < 10; ++seed) {
    ReassemblyProblem problem = test::random_problem({4, 4, 10}, seed);
    const ReassemblyResult free = run(problem, ReassemblySolver::kLabels);
    for (const size_t r : {0, 1}) {
      ReassemblyProblem tight = problem;
      tight.resources[r].budget = free.assemblies[0].cost[r];
      for (const ReassemblySolver solver : rivals()) {
        CHECK(run(tight, solver).objective == doctest::Approx(free.objective));
      }
      tight.resources[r].budget -= 1;
      for (const ReassemblySolver solver : rivals()) {
        const ReassemblyResult result = run(tight, solver);
        CHECK(result.assemblies[0].cost[r] <= tight.resources[r].budget);
        CHECK(result.objective < free.objective);
      }
    }
  }
}

TEST_CASE("reassembly: of every limit the smallest relaxation, exactly") {
  std::map<std::string, size_t> helped, hopeless;
  for (uint64_t seed = 0; seed < 900; ++seed) {
    test::Random random(seed);
    ReassemblyProblem problem = test::random_problem(
        {2 + test::below(random, 3), 3, 0.12 + 0.6 * test::uniform(random), true}, seed);
    if (seed % 2 == 1) test::add_rules(problem, seed / 2);
    if (seed % 4 == 3) {
      problem.max_per_model = 3;
      problem.min_models = 1;
      for (Resource& r : problem.resources) r.budget *= 3;
    }
    const ReassemblyResult result = run(problem, ReassemblySolver::kLabels);
    if (result.status != ReassemblyStatus::kInfeasible) continue;
    CAPTURE(seed);
    CAPTURE(result.reason);
    CHECK(!feasible_by_hand(problem));
    for (const Remedy& remedy : result.remedies) {
      CAPTURE(remedy.limit);
      CAPTURE(remedy.needed);
      if (std::isinf(remedy.needed)) {
        CHECK(!feasible_by_hand(dropped(problem, remedy.limit)));
        ++hopeless[remedy.limit];
        continue;
      }
      ++helped[remedy.limit];
      CHECK(feasible_by_hand(eased(problem, remedy, remedy.needed)));
      if (remedy.names.empty() && remedy.limit != "grids_before_tokens") {
        const double less = remedy.limit == "min_models" ? 1 : -1;
        CHECK(!feasible_by_hand(eased(problem, remedy, remedy.needed + less)));
      }
      for (size_t i = 0; i < remedy.names.size(); ++i) {
        Remedy fewer = remedy;
        fewer.names.erase(fewer.names.begin() + ptrdiff_t(i));
        CHECK(!feasible_by_hand(eased(problem, fewer, 0)));
      }
    }
  }
  for (const std::string limit :
       {"params", "macs", "memory", "max_per_model", "min_models", "max_sources",
        "grids_before_tokens", "licences", "forced", "forbidden"}) {
    CAPTURE(limit);
    CHECK(helped[limit] > 2);
    CHECK(hopeless[limit] > 2);
  }
}

TEST_CASE("reassembly: an infeasible budget is explained in words") {
  ReassemblyProblem two;
  two.resources = {{"params", 10}, {"macs", 20}};
  two.stages = {{{.model = 0, .cost = {12, 5}}, {.model = 1, .cost = {4, 30}}}};
  CHECK(run(two, ReassemblySolver::kLabels).reason ==
        "no assembly within 10 params and 20 macs; the smallest params with these macs is 12; the "
        "smallest macs with these params is 30");
  two.resources[1].budget = 4;
  CHECK(run(two, ReassemblySolver::kLabels).reason ==
        "no assembly within 10 params and 4 macs; no params would do with these macs (the smallest "
        "of "
        "all is 4); the smallest macs with these params is 30");
}

TEST_CASE("reassembly: a rule at fault is named") {
  ReassemblyProblem problem = test::random_problem({2, 4, 100}, 1);
  problem.max_per_model = 1;
  CHECK(run(problem, ReassemblySolver::kLabels).reason.find("'at most 1 blocks of one network'") !=
        std::string::npos);
  problem.max_per_model = 4;
  problem.min_models = 3;
  CHECK(run(problem, ReassemblySolver::kLabels).reason.find("'at least 3 networks'") !=
        std::string::npos);
  problem.min_models = 1;
  for (Candidate& c : problem.stages[1]) c.out = FeatureKind::kTokens;
  problem.grids_before_tokens = true;
  CHECK(run(problem, ReassemblySolver::kLabels).reason.find("'grids before tokens'") !=
        std::string::npos);
  problem.grids_before_tokens = false;
  for (Candidate& c : problem.stages[1]) c.forbidden = true;
  CHECK(run(problem, ReassemblySolver::kLabels).reason.find("'the forbidden candidates'") !=
        std::string::npos);
  for (Candidate& c : problem.stages[1]) c.forbidden = false;
  for (auto& row : problem.stitches[2]) {
    for (Stitch& s : row) s.possible = false;
  }
  CHECK(run(problem, ReassemblySolver::kLabels).reason.find("no chain of possible stitches") !=
        std::string::npos);
}

TEST_CASE("reassembly: by default at most half of the blocks, rounded up, come from one network") {
  ReassemblyProblem problem = test::random_problem({6, 5, 100}, 2);
  for (auto& stage : problem.stages) stage[3].value = 10;
  const ReassemblyResult result = run(problem, ReassemblySolver::kLabels);
  size_t of_three = 0;
  for (const size_t c : result.assemblies[0].chosen) of_three += c == 3;
  CHECK(of_three == 3);
}

TEST_CASE("reassembly: 24 networks in 4 stages equal all 331,776 combinations") {
  const ReassemblyProblem problem = test::random_problem({24, 4, 0.5}, 5);
  const ReassemblyResult oracle = run(problem, ReassemblySolver::kExhaustive);
  const ReassemblyResult labels = run(problem, ReassemblySolver::kLabels);
  CHECK(labels.objective == doctest::Approx(oracle.objective).epsilon(1e-12));
  CHECK(labels.status == ReassemblyStatus::kOptimal);
}

TEST_CASE("reassembly: out of time, feasible with an honest bound or interrupted") {
  const ReassemblyProblem problem = test::random_problem({24, 6, 0.4}, 6);
  const ReassemblyResult whole = run(problem, ReassemblySolver::kLabels);
  REQUIRE(whole.status == ReassemblyStatus::kOptimal);
  for (const ReassemblySolver solver : rivals()) {
    for (const double seconds : {0.0, 0.0005, 0.002, 0.01}) {
      Control control;
      control.seconds = seconds;
      try {
        const ReassemblyResult cut = reassemble(problem, {.solver = solver}, control);
        CHECK(cut.bound >= whole.objective - 1e-6);
        CHECK(cut.objective <= whole.objective + 1e-9);
      } catch (const Error& error) {
        CHECK(error.kind() == ErrorKind::kInterrupted);
      }
    }
    std::stop_source source;
    source.request_stop();
    expect_error(ErrorKind::kInterrupted, "stopped",
                 [&] { reassemble(problem, {.solver = solver}, {.stop = source.get_token()}); });
  }
}

TEST_CASE("reassembly: malformed problems") {
  const ReassemblyProblem good = test::random_problem({3, 3, 1}, 1);
  const auto refuse = [&](ErrorKind kind, const char* phrase, auto change) {
    ReassemblyProblem bad = good;
    change(bad);
    expect_error(kind, phrase, [&] { reassemble(bad); });
  };
  refuse(ErrorKind::kUsage, "no stages", [](auto& p) { p.stages.clear(); });
  refuse(ErrorKind::kUsage, "stage 2 has no candidates", [](auto& p) { p.stages[1].clear(); });
  refuse(ErrorKind::kShape, "has 1 costs for 2", [](auto& p) { p.stages[1][2].cost.pop_back(); });
  refuse(ErrorKind::kUsage, "a cost of candidate 2 of stage 2 is -1",
         [](auto& p) { p.stages[1][2].cost[0] = -1; });
  refuse(ErrorKind::kNumeric, "value of candidate 0 of stage 1",
         [](auto& p) { p.stages[0][0].value = NAN; });
  refuse(ErrorKind::kShape, "pairs of stages", [](auto& p) { p.stitches.pop_back(); });
  refuse(ErrorKind::kShape, "are not 3 by 3", [](auto& p) { p.stitches[1][0].pop_back(); });
  refuse(ErrorKind::kUsage, "budget of params is nan",
         [](auto& p) { p.resources[0].budget = NAN; });
  refuse(ErrorKind::kUsage, "2 candidates of stage 1 are forced",
         [](auto& p) { p.stages[0][0].forced = p.stages[0][1].forced = true; });
  refuse(ErrorKind::kUsage, "both forced and forbidden",
         [](auto& p) { p.stages[0][0].forced = p.stages[0][0].forbidden = true; });
  expect_error(ErrorKind::kUsage, "diversity is 4", [&] { reassemble(good, {.diversity = 4}); });
  expect_error(ErrorKind::kUsage, "did you mean 'labels'",
               [] { parse_reassembly_solver("lables"); });
  CHECK(parse_reassembly_solver("glpk") == ReassemblySolver::kGlpk);
  expect_error(ErrorKind::kUsage, "does not exist", [&] { evaluate(good, {0, 9, 0}); });
  ReassemblyProblem poor = good;
  poor.resources[0].budget = 1;
  expect_error(ErrorKind::kUsage, "breaks a rule or a budget", [&] { evaluate(poor, {0, 0, 1}); });
}

}  // namespace kintsugi::solvers
