#include "kintsugi/solvers/naswot_choice.h"

#include <doctest/doctest.h>

#include "expect_error.h"
#include "tests/support/synthetic.h"

namespace kintsugi::solvers {

using test::expect_error;

namespace {

// log det by elimination without pivoting, kernels summed on the way: nothing of the solver's.
double score_by_hand(const NaswotProblem& problem, const std::vector<size_t>& chosen) {
  const size_t n = problem.kernels[0][0].rows;
  std::vector<std::vector<double>> a(n, std::vector<double>(n, 0));
  for (size_t k = 0; k < chosen.size(); ++k) {
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = 0; j < n; ++j) a[i][j] += problem.kernels[k][chosen[k]](i, j);
    }
  }
  double sum = 0;
  for (size_t k = 0; k < n; ++k) {
    if (!(a[k][k] > 1e-9)) return -INFINITY;
    sum += std::log(a[k][k]);
    for (size_t i = k + 1; i < n; ++i) {
      const double factor = a[i][k] / a[k][k];
      for (size_t j = k; j < n; ++j) a[i][j] -= factor * a[k][j];
    }
  }
  for (size_t k = 0; k < chosen.size(); ++k) {
    sum += problem.assembly.stages[k][chosen[k]].value;
    if (k > 0) sum += problem.assembly.stitches[k - 1][chosen[k - 1]][chosen[k]].value;
  }
  return sum;
}

// The best of all combinations; -infinity: there is none.
double best_by_hand(const NaswotProblem& problem) {
  double best = -INFINITY;
  std::vector<size_t> chosen(problem.kernels.size(), 0);
  for (bool more = true; more;) {
    try {
      evaluate(problem.assembly, chosen);  // rules and budgets
      best = std::max(best, score_by_hand(problem, chosen));
    } catch (const Error&) {
    }
    more = false;
    for (size_t k = 0; k < chosen.size() && !more; ++k) {
      more = ++chosen[k] < problem.kernels[k].size();
      if (!more) chosen[k] = 0;
    }
  }
  return best;
}

}  // namespace

TEST_CASE("naswot choice: equals the best of every combination, under every rule") {
  size_t feasible = 0, infeasible = 0;
  for (uint64_t seed = 0; seed < 160; ++seed) {
    CAPTURE(seed);
    test::Random random(seed);
    NaswotProblem problem =
        test::random_naswot({2 + test::below(random, 4), 1 + test::below(random, 4),
                             0.4 + 0.8 * test::uniform(random), seed % 2 == 1},
                            3 + test::below(random, 12), seed);
    if (seed % 3 == 0) {
      for (auto& stage : problem.assembly.stages) {
        for (Candidate& c : stage) c.value = 3 * test::uniform(random);
      }
      for (auto& table : problem.assembly.stitches) {
        for (auto& row : table) {
          for (Stitch& s : row) s.value = test::uniform(random);
        }
      }
    }
    if (seed % 5 < 2) {
      test::add_rules(problem.assembly, seed);
      for (size_t k = 0; k < problem.kernels.size(); ++k) {
        while (problem.kernels[k].size() < problem.assembly.stages[k].size()) {
          problem.kernels[k].push_back(problem.kernels[k][0]);
        }
      }
    }
    const double expected = best_by_hand(problem);
    const NaswotResult result = exact_naswot(problem);
    if (expected == -INFINITY) {
      CHECK(result.status == ReassemblyStatus::kInfeasible);
      CHECK(!result.reason.empty());
      ++infeasible;
      continue;
    }
    ++feasible;
    REQUIRE(result.status == ReassemblyStatus::kOptimal);
    CHECK(result.gap == doctest::Approx(0).epsilon(1e-9));
    CHECK(result.best.objective == doctest::Approx(expected).epsilon(1e-8));
    CHECK(score_by_hand(problem, result.best.chosen) ==
          doctest::Approx(result.best.objective).epsilon(1e-9));
    CHECK(result.best.cost == evaluate(problem.assembly, result.best.chosen).cost);
  }
  CHECK(feasible > 40);
  CHECK(infeasible > 10);
}

TEST_CASE("naswot choice: few units, kernels that are singular alone or in sum") {
  size_t answers = 0, singular = 0;
  for (uint64_t seed = 0; seed < 60; ++seed) {
    CAPTURE(seed);
    NaswotProblem problem = test::random_naswot({4, 3, 3}, 5, seed);
    test::Random random(seed);
    for (auto& stage : problem.kernels) {
      for (Matrix& kernel : stage) {
        // One or two units: rank 2 at most for each. In every fourth problem two inputs are one.
        const size_t units = 1 + test::below(random, 2);
        std::vector<float> x = test::features(random, 5, units);
        if (seed % 4 == 0)
          std::copy(x.begin(), x.begin() + ptrdiff_t(units), x.end() - ptrdiff_t(units));
        Naswot naswot(5);
        naswot.add(x.data(), 5, units);
        kernel = naswot.kernel();
      }
    }
    const double expected = best_by_hand(problem);
    const NaswotResult result = exact_naswot(problem);
    if (expected == -INFINITY) {
      CHECK(result.status == ReassemblyStatus::kInfeasible);
      CHECK(result.reason.find("singular") != std::string::npos);
      ++singular;
    } else {
      CHECK(result.best.objective == doctest::Approx(expected).epsilon(1e-9));
      ++answers;
    }
  }
  CHECK(answers > 10);
  CHECK(singular >= 15);
}

TEST_CASE("naswot choice: stopped, an assembly that exists and an honest bound") {
  const NaswotProblem problem = test::random_naswot({10, 4, 0.6}, 16, 2);
  const NaswotResult whole = exact_naswot(problem);
  REQUIRE(whole.status == ReassemblyStatus::kOptimal);
  std::stop_source source;
  const NaswotResult part = exact_naswot(
      problem, {.stop = source.get_token(), .progress = [&](double) { source.request_stop(); }});
  CHECK(part.status == ReassemblyStatus::kFeasible);
  CHECK(part.best.objective <= whole.best.objective);
  CHECK(part.bound >= whole.best.objective);
  CHECK(part.gap > 0);
  CHECK(evaluate(problem, part.best.chosen).objective == part.best.objective);
  expect_error(ErrorKind::kInterrupted, "stopped",
               [&] { exact_naswot(problem, {.stop = source.get_token()}); });
}

TEST_CASE("naswot choice: malformed problems") {
  const NaswotProblem good = test::random_naswot({3, 3, 2}, 4, 1);
  const auto refuse = [&](ErrorKind kind, const char* phrase, auto change) {
    NaswotProblem bad = good;
    change(bad);
    expect_error(kind, phrase, [&] { exact_naswot(bad); });
  };
  refuse(ErrorKind::kUsage, "no stages", [](auto& p) { p.assembly.stages.clear(); });
  refuse(ErrorKind::kUsage, "budget of params is -1",
         [](auto& p) { p.assembly.resources[0].budget = -1; });
  refuse(ErrorKind::kShape, "kernels of 2 stages, expected 3",
         [](auto& p) { p.kernels.pop_back(); });
  refuse(ErrorKind::kShape, "2 kernels for the 3 candidates of stage 2",
         [](auto& p) { p.kernels[1].pop_back(); });
  refuse(ErrorKind::kShape, "candidate 1 of stage 3 is 2 by 2, expected 4 by 4",
         [](auto& p) { p.kernels[2][1] = Matrix(2, 2); });
  refuse(ErrorKind::kShape, "over 0 inputs", [](auto& p) { p.kernels[0][0] = Matrix(); });
  refuse(ErrorKind::kNumeric, "holds nan", [](auto& p) { p.kernels[0][1](2, 3) = NAN; });
  refuse(ErrorKind::kNumeric, "is not symmetric", [](auto& p) { p.kernels[0][1](2, 3) += 1; });
  refuse(ErrorKind::kNumeric, "is not positive semidefinite",
         [](auto& p) { p.kernels[0][1](2, 2) = -1; });
}

}  // namespace kintsugi::solvers
