#include <algorithm>
#include <cmath>
#include <sstream>

#include "kintsugi/solvers/ilp/model.h"

namespace kintsugi::solvers::ilp {

std::vector<std::string> violations(const Model& model, std::span<const double> x,
                                    double tolerance) {
  const std::vector<Variable>& variables = model.variables();
  if (x.size() != variables.size()) {
    return {"the point has " + std::to_string(x.size()) + " numbers for " +
            std::to_string(variables.size()) + " variables"};
  }
  std::vector<std::pair<double, std::string>> found;
  const auto complain = [&](double excess, const std::string& name, const char* what, size_t index,
                            double value, double lower, double upper) {
    std::ostringstream text;
    text.precision(12);
    text << what << ' ' << (name.empty() ? std::to_string(index) : name) << " is " << value
         << ", expected [" << lower << ", " << upper << ']';
    found.emplace_back(excess, text.str());
  };
  // NaN compares false with everything, so each test asks for what is right.
  const auto excess = [&](double value, double lower, double upper) {
    const double below =
        std::isfinite(lower) ? (lower - value) / std::max(1.0, std::abs(lower)) : 0;
    const double above =
        std::isfinite(upper) ? (value - upper) / std::max(1.0, std::abs(upper)) : 0;
    const double worst = std::max(below, above);
    return std::isfinite(value) && worst <= tolerance ? 0 : std::isnan(worst) ? kInfinity : worst;
  };
  for (size_t i = 0; i < x.size(); ++i) {
    const Variable& v = variables[i];
    if (const double e = excess(x[i], v.lower, v.upper); e > 0) {
      complain(e, v.name, "variable", i, x[i], v.lower, v.upper);
    } else if (v.integer && x[i] != std::round(x[i])) {
      complain(std::abs(x[i] - std::round(x[i])), v.name, "integer variable", i, x[i], v.lower,
               v.upper);
    } else if (!std::isfinite(x[i])) {
      complain(kInfinity, v.name, "variable", i, x[i], v.lower, v.upper);
    }
  }
  for (size_t r = 0; r < model.rows().size(); ++r) {
    const Row& row = model.rows()[r];
    double sum = 0;
    for (const Term& term : row.terms) sum += term.coefficient * x[term.variable];
    if (const double e = excess(sum, row.lower, row.upper); e > 0) {
      complain(e, row.name, "row", r, sum, row.lower, row.upper);
    }
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<std::string> lines;
  for (auto& f : found) lines.push_back(std::move(f.second));
  return lines;
}

}  // namespace kintsugi::solvers::ilp
