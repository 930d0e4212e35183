#include "kintsugi/apps/report/findings.h"

#include <algorithm>
#include <set>

#include "kintsugi/apps/text.h"

namespace kintsugi::apps {

std::string blocks_text(const zoo::PlanFile& plan) {
  std::string text;
  for (const auto& block : plan.blocks) {
    text += (text.empty() ? "" : " | ") + block.model + " " + std::to_string(block.first) + "-" +
            std::to_string(block.last);
  }
  return text;
}

namespace {

std::string percent(double value) {
  return fixed(value, 2) + " %";
}

std::string plural(size_t count, const std::string& noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

}  // namespace

std::vector<std::string> conclusions(const Findings& f) {
  std::set<std::string> families, sources;
  for (const auto& member : f.zoo) families.insert(member.family);
  for (const auto& block : f.plan.blocks) sources.insert(block.model);
  std::vector<std::string> lines;
  lines.push_back("From a zoo of " + plural(f.zoo.size(), "trained network") + " of " +
                  std::to_string(families.size()) + " families, " +
                  plural(f.plan.blocks.size(), "block") + " of " +
                  plural(sources.size(), "network") + " were joined by " +
                  std::to_string(zoo::stitched_blocks(f.plan).size()) + " stitch" +
                  (zoo::stitched_blocks(f.plan).size() == 1 ? "" : "es") + " into one of " +
                  count(f.plan.params) + " parameters and " + count(f.plan.macs) +
                  " MACs (budget: " + count(f.max_params) + " and " + count(f.max_macs) + ").");
  const std::string epochs = plural(size_t(f.epochs), "epoch");
  lines.push_back("Its top-1 is " + percent(f.stitched) + " with stitches fitted in closed form, " +
                  percent(f.freeze) + " after " + epochs + " on stitches and head, " +
                  percent(f.full) + " after " + epochs +
                  " on everything; the same architecture from random weights reaches " +
                  percent(f.scratch) + " in as many.");
  if (!f.best_member) {
    lines.push_back("No single network of the zoo fits the budget.");
    return lines;
  }
  const double reassembled = std::max({f.stitched, f.freeze, f.full});
  const double member = std::max(f.best_member->shipped, f.best_member->finetuned);
  const std::string figures = f.best_member->name + " (" + percent(f.best_member->shipped) +
                              " as shipped, " + percent(f.best_member->finetuned) +
                              " fine-tuned for " + epochs + ")";
  if (member > reassembled) {
    lines.push_back("The zoo member wins: the best single network within the budget, " + figures +
                    ", is " + fixed(member - reassembled, 2) +
                    " points better than the reassembled one.");
  } else if (member < reassembled) {
    lines.push_back("The reassembled network wins by " + fixed(reassembled - member, 2) +
                    " points over the best single network within the budget, " + figures + ".");
  } else {
    lines.push_back("The reassembled network and the best single network within the budget, " +
                    figures + ", are equal.");
  }
  return lines;
}

}  // namespace kintsugi::apps
