#include "kintsugi/apps/profile.h"

#include <algorithm>

#include "kintsugi/apps/text.h"

namespace kintsugi::apps {

std::string profile_table(const Profiler& profiler, double seconds, double runs) {
  const auto& fallbacks = Context::current().fallbacks;
  std::vector<std::pair<double, std::string>> order;
  double inside = 0;
  for (const auto& [op, row] : profiler.rows()) {
    order.emplace_back(-row.seconds, op);
    inside += row.seconds;
  }
  std::sort(order.begin(), order.end());
  std::vector<std::vector<std::string>> rows{{"  operator", "share", "ms", "calls", "GFLOP/s", ""}};
  for (const auto& [negative, op] : order) {
    const Profiler::Row& row = profiler.rows().at(op);
    rows.push_back({"  " + op, fixed(100 * row.seconds / seconds, 1) + " %",
                    fixed(1e3 * row.seconds / runs, 2), fixed(double(row.calls) / runs, 0),
                    row.macs > 0 ? fixed(2e-9 * double(row.macs) / row.seconds, 1) : "",
                    fallbacks.contains(op) ? "reference kernel" : ""});
  }
  rows.push_back({"  outside of operators", fixed(100 * (seconds - inside) / seconds, 1) + " %",
                  fixed(1e3 * (seconds - inside) / runs, 2)});
  return table(rows);
}

}  // namespace kintsugi::apps
