// What `reassemble` and `stitch-graph` have in common: budgets as words, answers as JSON, a table
// and files.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "kintsugi/apps/session.h"
#include "kintsugi/solvers/reassembly.h"
#include "kintsugi/zoo/files/plan_file.h"

namespace kintsugi::apps {

struct Budgets {
  std::optional<int64_t> params, macs, bytes, activation_bytes;
};
std::vector<Option> budget_options(Budgets& budgets);  // without that of activations

// "a,b,c" in its parts.
std::vector<std::string> split(const std::string& list);

struct Answer {
  std::string status;  // "optimal", "feasible"; without plans "infeasible" is meant
  double objective = 0, bound = 0, gap = 0, seconds = 0;
  std::string reason;
  std::vector<solvers::Remedy> remedies;
  std::vector<zoo::PlanFile> plans;  // best first
  std::vector<std::string> front;    // the costs of a Pareto front; empty: no front
  // What is told of the reference's search, by name; empty: it is not the reference's.
  std::vector<std::pair<std::string, double>> reference = {};
};

// Prints the answer and writes the first `files` plans as PLAN.json, PLAN.2.json, ... Returns the
// exit code.
int finish(const Session& session, const Answer& answer, const std::filesystem::path& out,
           size_t files);

}  // namespace kintsugi::apps
