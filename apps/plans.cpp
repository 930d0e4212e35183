#include "kintsugi/apps/plans.h"

#include <cmath>
#include <iostream>
#include <sstream>

#include "kintsugi/apps/json.h"
#include "kintsugi/apps/text.h"

namespace kintsugi::apps {

namespace {

Json blocks_json(const zoo::PlanFile& plan) {
  Json blocks = Json::array();
  for (const auto& block : plan.blocks) {
    blocks.push_back({{"model", block.model}, {"first", block.first}, {"last", block.last}});
  }
  return blocks;
}

// Counts are whole numbers in JSON too.
Json number(double value) {
  if (std::isinf(value)) return nullptr;
  if (value == std::floor(value) && std::abs(value) < 0x1p53) return int64_t(value);
  return value;
}

Json costs_json(const zoo::PlanFile& plan) {
  Json json = Json::object();
  for (const auto& [name, cost] : plan.costs) json[name] = number(cost);
  return json;
}

Json to_json(const Answer& answer) {
  const bool none = answer.plans.empty();
  const auto unless_none = [&](double value) { return none ? Json(nullptr) : Json(value); };
  Json json{{"status", none ? "infeasible" : answer.status}};
  json["objective"] = unless_none(answer.objective);
  json["bound"] = unless_none(answer.bound);
  json["gap"] = unless_none(answer.gap);
  json["seconds"] = answer.seconds;
  json["params"] = none ? Json(nullptr) : Json(answer.plans[0].params);
  json["macs"] = none ? Json(nullptr) : Json(answer.plans[0].macs);
  json["blocks"] = none ? Json::array() : blocks_json(answer.plans[0]);
  if (none) {
    json["reason"] = answer.reason;
    json["remedies"] = Json::array();
    for (const solvers::Remedy& remedy : answer.remedies) {
      Json entry{
          {"limit", remedy.limit}, {"got", number(remedy.got)}, {"needed", number(remedy.needed)}};
      if (!remedy.names.empty()) entry["names"] = remedy.names;
      json["remedies"].push_back(std::move(entry));
    }
    return json;
  }
  json["costs"] = costs_json(answer.plans[0]);
  for (const auto& [name, value] : answer.reference) json["reference"][name] = number(value);
  const bool front = !answer.front.empty();
  if (front) json["complete"] = answer.status == "optimal";
  if (!front && answer.plans.size() == 1) return json;
  Json& list = json[front ? "front" : "plans"] = Json::array();
  for (const zoo::PlanFile& plan : answer.plans) {
    list.push_back({{"objective", plan.objective},
                    {"params", plan.params},
                    {"macs", plan.macs},
                    {"costs", costs_json(plan)},
                    {"blocks", blocks_json(plan)}});
  }
  return json;
}

std::string blocks_text(const zoo::PlanFile& plan) {
  std::string text;
  for (const auto& block : plan.blocks) {
    text += (text.empty() ? "" : " | ") + block.model + " " + std::to_string(block.first) + "-" +
            std::to_string(block.last);
  }
  return text;
}

std::string cost_text(const std::string& name, double cost) {
  return name.ends_with("_ms") ? fixed(cost, 3) : count(int64_t(cost));
}

// PLAN.json, PLAN.2.json, PLAN.3.json, ...
std::filesystem::path numbered(const std::filesystem::path& path, size_t index) {
  if (index == 0) return path;
  std::ostringstream name;
  name << path.stem().string() << "." << index + 1 << path.extension().string();
  return path.parent_path() / name.str();
}

}  // namespace

std::vector<Option> budget_options(Budgets& budgets) {
  return {
      {"--max-params", &budgets.params, "at most so many parameters", "Budget", false, 0},
      {"--max-macs", &budgets.macs, "at most so many multiply-adds an image", "Budget", false, 0},
      {"--max-bytes", &budgets.bytes, "at most so many on disk, as f32", "Budget", false, 0}};
}

std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> parts;
  std::istringstream in(list);
  for (std::string part; std::getline(in, part, ',');) {
    if (!part.empty()) parts.push_back(part);
  }
  return parts;
}

int finish(const Session& session, const Answer& answer, const std::filesystem::path& out,
           size_t files) {
  if (session.json()) std::cout << to_json(answer).dump() << "\n";
  if (answer.plans.empty()) {
    say(session, answer.reason);
    return 1;
  }
  for (size_t i = 0; i < std::min(files, answer.plans.size()); ++i) {
    zoo::write_plan(numbered(out, i), answer.plans[i]);
  }
  if (session.json()) return 0;
  std::vector<std::vector<std::string>> rows{{"objective"}};
  for (const auto& [name, cost] : answer.plans[0].costs) rows[0].push_back(name);
  rows[0].push_back("blocks");
  for (const zoo::PlanFile& plan : answer.plans) {
    rows.push_back({fixed(plan.objective, 4)});
    for (const auto& [name, cost] : plan.costs) rows.back().push_back(cost_text(name, cost));
    rows.back().push_back(blocks_text(plan));
  }
  if (answer.front.empty()) {
    std::cout << answer.status << ", bound " << fixed(answer.bound, 4) << ", gap "
              << fixed(100 * answer.gap, 3) << " %, " << fixed(answer.seconds, 2) << " s\n";
  } else {
    std::cout << answer.plans.size() << (answer.status == "optimal" ? "" : " (not all)")
              << " plans that none beats, " << fixed(answer.seconds, 2) << " s\n";
  }
  std::cout << table(rows, false);
  return 0;
}

}  // namespace kintsugi::apps
