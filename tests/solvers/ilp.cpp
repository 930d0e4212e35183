#include "kintsugi/solvers/ilp/model.h"

#include <doctest/doctest.h>

#include "expect_error.h"
#include "tests/support/synthetic.h"

namespace kintsugi::solvers::ilp {

using test::expect_error;

namespace {

// max 5a + 4b + 3c, 2a + 3b + c <= 5, 4a + b + 2c <= 11, 3a + 4b + 2c <= 8, integers: 13 at (2, 0,
// 1).
Model textbook() {
  Model model;
  for (const double objective : {5.0, 4.0, 3.0}) {
    model.add(Variable{.upper = 10, .integer = true, .objective = objective});
  }
  model.add(Row{.terms = {{0, 2}, {1, 3}, {2, 1}}, .upper = 5});
  model.add(Row{.terms = {{0, 4}, {1, 1}, {2, 2}}, .upper = 11});
  model.add(Row{.terms = {{0, 3}, {1, 4}, {2, 2}}, .upper = 8});
  return model;
}

Model random_model(uint64_t seed) {
  test::Random random(seed);
  Model model;
  const size_t variables = 2 + test::below(random, 6), rows = 1 + test::below(random, 4);
  for (size_t i = 0; i < variables; ++i) {
    const double lower = double(test::below(random, 3)) - 1;
    model.add(Variable{.lower = lower,
                       .upper = lower + double(test::below(random, 4)),
                       .integer = true,
                       .objective = std::round(10 * test::normal(random))});
  }
  for (size_t r = 0; r < rows; ++r) {
    Row row;
    for (size_t i = 0; i < variables; ++i) {
      if (test::uniform(random) < 0.7)
        row.terms.push_back({i, std::round(4 * test::normal(random))});
    }
    const double middle = std::round(4 * test::normal(random));
    if (test::uniform(random) < 0.8) row.upper = middle + double(test::below(random, 6));
    if (test::uniform(random) < 0.4) row.lower = middle - double(test::below(random, 3));
    if (test::uniform(random) < 0.1) row.lower = row.upper = middle;
    model.add(row);
  }
  return model;
}

bool has_glpk() {
  for (const Solver& s : solvers()) {
    if (std::string(s.name) == "glpk") return true;
  }
  return false;
}

}  // namespace

TEST_CASE("ilp: a textbook problem, every solver") {
  for (const Solver& solver : solvers()) {
    CAPTURE(solver.name);
    const Solution solution = solve(textbook(), solver.name);
    CHECK(solution.status == Status::kOptimal);
    CHECK(solution.objective == 13);
    CHECK(solution.x == std::vector<double>{2, 0, 1});
    CHECK(solution.bound == doctest::Approx(13));
  }
}

TEST_CASE("ilp: exhaustive tries every point") {
  // Against a count of its own: all points of the box, each checked by violations().
  size_t feasible = 0;
  for (uint64_t seed = 0; seed < 150; ++seed) {
    const Model model = random_model(seed);
    const auto& variables = model.variables();
    std::vector<double> x;
    for (const Variable& v : variables) x.push_back(v.lower);
    double best = -kInfinity;
    for (bool more = true; more;) {
      if (violations(model, x).empty()) {
        double value = 0;
        for (size_t i = 0; i < x.size(); ++i) value += variables[i].objective * x[i];
        best = std::max(best, value);
      }
      more = false;
      for (size_t i = 0; i < x.size() && !more; ++i) {
        more = ++x[i] <= variables[i].upper;
        if (!more) x[i] = variables[i].lower;
      }
    }
    CAPTURE(seed);
    const Solution solution = solve(model, "exhaustive");
    CHECK((solution.status == Status::kOptimal) == (best > -kInfinity));
    if (best > -kInfinity) CHECK(solution.objective == best);
    if (best == -kInfinity) CHECK(solution.status == Status::kInfeasible);
    feasible += best > -kInfinity;
  }
  CHECK(feasible > 40);
  CHECK(feasible < 140);
}

TEST_CASE("ilp: glpk equals the oracle") {
  if (!has_glpk()) return;
  for (uint64_t seed = 1000; seed < 1300; ++seed) {
    CAPTURE(seed);
    const Model model = random_model(seed);
    const Solution oracle = solve(model, "exhaustive"), glpk = solve(model, "glpk");
    CHECK(glpk.status == oracle.status);
    if (oracle.status == Status::kOptimal) CHECK(glpk.objective == oracle.objective);
  }
}

TEST_CASE("ilp: continuous variables, equality, unbounded, empty") {
  if (!has_glpk()) return;
  Model model;
  const size_t x = model.add(Variable{.integer = true, .objective = 1});
  const size_t y = model.add(Variable{.lower = -kInfinity, .objective = 2});
  CHECK(solve(model, "glpk").status == Status::kUnbounded);
  model.add(Row{.terms = {{x, 1}, {y, 1}}, .lower = 3.5, .upper = 3.5});
  model.add(Row{.terms = {{y, 1}}, .upper = 2.25});
  const Solution solution = solve(model, "glpk");
  CHECK(solution.status == Status::kOptimal);
  CHECK(solution.x[0] == 2);
  CHECK(solution.x[1] == doctest::Approx(1.5));
  CHECK(solve(Model(), "glpk").status == Status::kOptimal);
}

TEST_CASE("ilp: out of time, the status says so") {
  Control control;
  control.seconds = 0;
  if (has_glpk()) CHECK(solve(textbook(), "glpk", control).status == Status::kUnknown);
  std::stop_source source;
  source.request_stop();
  Model big;
  for (size_t i = 0; i < 40; ++i) big.add(Variable{.upper = 1, .integer = true, .objective = -1});
  big.add(Row{.lower = 0, .upper = 0});
  for (size_t i = 0; i < 40; ++i)
    big.add(Row{.terms = {{i, 1.0}, {(i + 1) % 40, 1.0}}, .lower = 1});
  const Solution cut = solve(big, "exhaustive", {.stop = source.get_token()});
  CHECK(cut.status != Status::kOptimal);
  CHECK(cut.bound >= -20);  // the optimum takes every other variable
}

TEST_CASE("ilp: violations finds each kind, worst first") {
  const Model model = textbook();
  CHECK(violations(model, std::vector<double>{2, 0, 1}).empty());
  CHECK(violations(model, std::vector<double>{2, 0}).size() == 1);
  const auto lines = violations(model, std::vector<double>{2, 1, 1});
  REQUIRE(lines.size() == 2);
  CHECK(lines[0].find("row 0 is 8") != std::string::npos);
  CHECK(violations(model, std::vector<double>{0.5, 0, 0})[0].find("integer variable 0") == 0);
  CHECK(violations(model, std::vector<double>{-1, 0, 0})[0].find("variable 0 is -1") == 0);
  CHECK_FALSE(violations(model, std::vector<double>{NAN, 0, 0}).empty());
}

TEST_CASE("ilp: a bad model never reaches a solver") {
  const auto refuse = [](const char* phrase, auto change) {
    Model model = textbook();
    change(model);
    for (const Solver& s : solvers()) {
      expect_error(ErrorKind::kUsage, phrase, [&] { solve(model, s.name); });
    }
  };
  refuse("names variable 7 of 3", [](Model& m) { m.add(Row{.terms = {{7, 1}}}); });
  refuse("twice", [](Model& m) { m.add(Row{.terms = {{1, 1}, {1, 2}}}); });
  refuse("holds the coefficient", [](Model& m) { m.add(Row{.terms = {{1, NAN}}}); });
  refuse("the bounds of row 3 are [2, 1]", [](Model& m) { m.add(Row{.lower = 2, .upper = 1}); });
  refuse("the bounds of 'w'", [](Model& m) { m.add(Variable{.lower = NAN, .name = "w"}); });
  refuse("objective", [](Model& m) { m.add(Variable{.objective = kInfinity}); });
  refuse("no integers", [](Model& m) { m.add(Variable{.upper = 1.5, .integer = true}); });
  expect_error(ErrorKind::kMissing, "no solver 'glkp'", [] { solve(textbook(), "glkp"); });
  Model continuous;
  continuous.add(Variable{.upper = 1});
  expect_error(ErrorKind::kUsage, "integer variables only",
               [&] { solve(continuous, "exhaustive"); });
}

}  // namespace kintsugi::solvers::ilp
