// The report's pictures, each a whole <svg> element. Colours are CSS variables of the page, so that
// the pictures follow its light and dark themes.
#pragma once

#include <string>

#include "kintsugi/apps/report/findings.h"

namespace kintsugi::apps {

// & < > " as HTML wants them.
std::string escape(const std::string& text);

// All positions against all positions: lines between networks, ticks at the partition's cuts.
std::string heat_map(const zoo::SimilarityFile& similarity, const zoo::PartitionFile& partition);

// One strip a network, a cell a node, coloured by set; the anchors framed.
std::string cut_strips(const zoo::PartitionFile& partition);

// Stem, blocks, stitches and head from left to right.
std::string plan_strip(const zoo::PlanFile& plan, const zoo::PartitionFile& partition);

// Top-1 against cost on a logarithmic axis.
enum class CostAxis { kParams, kMacs };
std::string scatter(const Findings& findings, CostAxis axis);

}  // namespace kintsugi::apps
