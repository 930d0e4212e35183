// Outer approximation under branch and bound. A tangent of the log-determinant makes the problem a
// linear reassembly, which Lagrangian prices bound from every partial assembly on; the least over
// the tangents counts. Conditional gradients from the middle of all candidates find the mixture
// whose tangent is tight for the relaxation; the search adds tangents at assemblies that promise
// more than they keep.
#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>

#include "kintsugi/engine/core/error.h"
#include "kintsugi/solvers/dense/products.h"
#include "kintsugi/solvers/naswot.h"
#include "kintsugi/solvers/naswot_choice.h"
#include "kintsugi/solvers/reassembly/multipliers.h"

namespace kintsugi::solvers {

namespace naswot_choice {

namespace {

using reassembly::Graph;
using reassembly::kNever;
using reassembly::kUnlimited;
using reassembly::Multipliers;
using reassembly::Path;
using Mixture = std::vector<std::vector<double>>;  // [stage][node], each stage sums to 1

constexpr size_t kGradientSteps = 24;
constexpr size_t kKept = 6;   // tangents of those steps that the search takes along
constexpr size_t kMost = 40;  // tangents in all
constexpr size_t kRounds = 100;

struct Cut {
  double constant;  // the score is at most this, and the values below
  Multipliers prices;
  double bound() const { return constant + prices.bound(); }
};

class Search {
 public:
  Search(const NaswotProblem& problem, const Graph& graph, Clock& clock)
      : problem_(problem), graph_(graph), clock_(clock), least_(reassembly::least_endings(graph)) {}

  // False where the clock ran out.
  bool run() {
    relax();
    if (bound_ == kNever) return true;
    std::sort(cuts_.begin(), cuts_.end(),
              [](const auto& a, const auto& b) { return a->bound() < b->bound(); });
    if (cuts_.size() > kKept) cuts_.resize(kKept);
    const bool whole = descend();
    if (whole) bound_ = score_;
    return whole;
  }

  const Path& best() const { return best_; }
  double bound() const { return std::max(bound_, score_); }
  uint64_t nodes() const { return nodes_; }
  size_t cuts() const { return made_; }
  bool saw_singular() const { return saw_singular_; }

 private:
  struct Child {
    size_t node;
    double bound;
  };

  double threshold() const {
    return score_ == kNever ? kNever : score_ + 1e-9 * std::max(1.0, std::abs(score_));
  }

  const Matrix& kernel(size_t k, size_t n) const {
    return problem_.kernels[k][graph_.nodes[k][n].candidate];
  }

  static void add(Matrix& sum, double weight, const Matrix& term) {
    for (size_t i = 0; i < sum.values.size(); ++i) sum.values[i] += weight * term.values[i];
  }

  Matrix mix(const Mixture& mixture) const {
    Matrix sum(problem_.kernels[0][0].rows, problem_.kernels[0][0].rows);
    for (size_t k = 0; k < mixture.size(); ++k) {
      for (size_t n = 0; n < mixture[k].size(); ++n) {
        if (mixture[k][n] > 0) add(sum, mixture[k][n], kernel(k, n));
      }
    }
    return sum;
  }

  Matrix mix(const Path& path) const {
    Matrix sum = kernel(0, path[0]);
    for (size_t k = 1; k < path.size(); ++k) add(sum, 1, kernel(k, path[k]));
    return sum;
  }

  // The tangent at `sum`; false where that is too near singular for a tangent to be trusted.
  bool cut_at(const Matrix& sum, Path& path) {
    const size_t inputs = sum.rows;
    double greatest = 0;
    for (size_t i = 0; i < inputs; ++i) greatest = std::max(greatest, sum(i, i));
    Matrix factor = sum, inverse(inputs, inputs);
    if (!dense::factorise(factor, 1e-8 * greatest)) return false;
    for (size_t i = 0; i < inputs; ++i) inverse(i, i) = 1;
    dense::solve_factorised(factor, inverse);
    double constant = 0;
    for (size_t i = 0; i < inputs; ++i) constant += 2 * std::log(factor(i, i));
    constant -= double(inputs);  // tr(K^-1 K)
    Mixture slope;
    for (size_t k = 0; k < graph_.stages(); ++k) {
      slope.emplace_back();
      for (size_t n = 0; n < graph_.nodes[k].size(); ++n) {
        const Matrix& term = kernel(k, n);
        slope[k].push_back(std::inner_product(inverse.values.begin(), inverse.values.end(),
                                              term.values.begin(), 0.0));
      }
    }
    cuts_.push_back(std::make_unique<Cut>(Cut{constant, Multipliers(graph_, std::move(slope))}));
    double value = kNever;
    cuts_.back()->prices.optimise(kRounds, path, value, clock_);
    bound_ = std::min(bound_, cuts_.back()->bound());
    ++made_;
    return true;
  }

  void offer(const Path& path, double score) {
    if (score == kNever) saw_singular_ = true;
    if (score > score_) {
      score_ = score;
      best_ = path;
    }
  }

  void relax() {
    Mixture middle;
    for (const auto& nodes : graph_.nodes) {
      middle.emplace_back(nodes.size(), 1 / double(std::max<size_t>(1, nodes.size())));
    }
    Matrix sum = mix(middle);
    if (log_det(sum) == kNever) {  // no sum of fewer kernels has a greater rank
      saw_singular_ = true;
      bound_ = kNever;
      return;
    }
    for (size_t step = 0; step < kGradientSteps && !clock_.over(); ++step) {
      Path path;
      if (!cut_at(sum, path) || bound_ == kNever || path.empty()) return;
      const Matrix vertex = mix(path);
      offer(path, graph_.value_of(path) + log_det(vertex));
      clock_.report(double(step + 1) / double(2 * kGradientSteps));
      if (bound_ <= threshold()) return;
      // The best point between here and there; values are linear in the step.
      const auto at = [&](double t) {
        Matrix between = sum;
        for (size_t i = 0; i < between.values.size(); ++i) {
          between.values[i] += t * (vertex.values[i] - sum.values[i]);
        }
        return between;
      };
      double low = 0, high = 1;
      const double gain = graph_.value_of(path) - value_;
      for (size_t i = 0; i < 12; ++i) {
        const double a = low + (high - low) / 3, b = high - (high - low) / 3;
        if (log_det(at(a)) + a * gain < log_det(at(b)) + b * gain) {
          low = a;
        } else {
          high = b;
        }
      }
      const double t = step == 0 ? 0.9 : (low + high) / 2;  // the middle breaks budgets: leave it
      sum = at(t);
      value_ = step == 0 ? graph_.value_of(path) : value_ + t * gain;
    }
  }

  // The least over the tangents of what an assembly that starts with path_ and goes on with node n
  // can score.
  double bound_of(size_t k, size_t n) const {
    double bound = bound_;
    for (const auto& cut : cuts_) {
      const Multipliers& prices = cut->prices;
      double net = cut->constant + prices.constant() + prices.node(k, n) + prices.rest(k, n);
      for (size_t j = 0; j < k; ++j) {
        net += prices.node(j, path_[j]) + prices.arc(j, path_[j], j + 1 < k ? path_[j + 1] : n);
      }
      bound = std::min(bound, net);
      if (bound <= threshold()) break;
    }
    return bound;
  }

  // Whether the rules and budgets leave an ending to path_ and node n, as far as each alone tells.
  bool possible(size_t k, size_t n) const {
    if (k > 0 && graph_.arc_value[k - 1](path_[k - 1], n) == kNever) return false;
    Path path = path_;
    path.push_back(n);
    const std::vector<double> cost = graph_.cost_of(path);
    for (size_t r = 0; r < cost.size(); ++r) {
      if (!Graph::within(cost[r] + least_[k](n, r), graph_.budget[r])) return false;
    }
    std::vector<size_t> models, sources;
    for (size_t j = 0; j <= k; ++j) {
      models.push_back(graph_.nodes[j][path[j]].model);
      sources.push_back(graph_.nodes[j][path[j]].source);
    }
    std::sort(sources.begin(), sources.end());
    if (size_t(std::unique(sources.begin(), sources.end()) - sources.begin()) >
        graph_.max_sources) {
      return false;
    }
    if (size_t(std::count(models.begin(), models.end(), models.back())) > graph_.max_per_model) {
      return false;
    }
    std::sort(models.begin(), models.end());
    const auto distinct = size_t(std::unique(models.begin(), models.end()) - models.begin());
    return distinct + graph_.stages() - 1 - k >= graph_.min_models;
  }

  bool descend() {
    const size_t k = path_.size();
    std::vector<Child> children;
    for (size_t n = 0; n < graph_.nodes[k].size(); ++n) {
      const double bound = bound_of(k, n);
      if (bound > threshold() && possible(k, n)) children.push_back({n, bound});
    }
    std::stable_sort(children.begin(), children.end(),
                     [](const Child& a, const Child& b) { return a.bound > b.bound; });
    for (const Child& child : children) {
      if (clock_.over()) return false;
      // Nothing left here is worth more than the first that is left.
      if (k == 0) bound_ = std::min(bound_, std::max(child.bound, score_));
      if (child.bound <= threshold()) break;
      if (bound_of(k, child.node) <= threshold()) continue;  // there may be new tangents
      ++nodes_;
      path_.push_back(child.node);
      bool whole = true;
      if (path_.size() < graph_.stages()) {
        whole = descend();
      } else {
        leaf();
      }
      path_.pop_back();
      if (!whole) return false;
    }
    return true;
  }

  void leaf() {
    if (!graph_.admits(path_)) return;
    const Matrix sum = mix(path_);
    offer(path_, graph_.value_of(path_) + log_det(sum));
    if (cuts_.size() >= kMost) return;
    Path other;
    if (cut_at(sum, other) && !other.empty()) {
      offer(other, graph_.value_of(other) + log_det(mix(other)));
    }
  }

  const NaswotProblem& problem_;
  const Graph& graph_;
  Clock& clock_;
  std::vector<Matrix> least_;
  std::vector<std::unique_ptr<Cut>> cuts_;
  size_t made_ = 0;
  double value_ = 0;  // linear part of the mixture
  double bound_ = kUnlimited;
  Path path_, best_;
  double score_ = kNever;
  uint64_t nodes_ = 0;
  bool saw_singular_ = false;
};

}  // namespace

}  // namespace naswot_choice

NaswotResult exact_naswot(const NaswotProblem& problem, const Control& control) {
  validate(problem);
  Clock clock(control);
  const reassembly::Graph graph = reassembly::make_graph(problem.assembly);
  naswot_choice::Search search(problem, graph, clock);
  const bool whole = search.run();
  NaswotResult result;
  result.nodes = search.nodes();
  result.cuts = search.cuts();
  if (search.best().empty() && !whole) {
    fail(ErrorKind::kInterrupted, "naswot: ", clock.stopped() ? "stopped" : "out of time",
         " after ", clock.seconds(), " s without an assembly");
  }
  if (search.best().empty()) {
    if (search.saw_singular()) {
      result.reason =
          "every assembly within the budgets has a singular kernel: two inputs share their codes";
    } else {
      reassembly::Explanation why = reassembly::explain(problem.assembly, clock);
      result.reason = std::move(why.reason);
      result.remedies = std::move(why.remedies);
    }
  } else {
    std::vector<size_t> chosen;
    for (size_t k = 0; k < search.best().size(); ++k) {
      chosen.push_back(graph.nodes[k][search.best()[k]].candidate);
    }
    result.best = evaluate(problem, chosen);
    result.status = whole ? ReassemblyStatus::kOptimal : ReassemblyStatus::kFeasible;
    result.bound = std::max(search.bound(), result.best.objective);
    result.gap =
        (result.bound - result.best.objective) / std::max(1e-12, std::abs(result.best.objective));
  }
  clock.report(1);
  result.seconds = clock.seconds();
  return result;
}

}  // namespace kintsugi::solvers
