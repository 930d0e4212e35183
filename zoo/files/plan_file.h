// PLAN.json: a reassembled network.
// Reading checks all that the steps rely on: kFormat with the field's name. Another major version is
// refused, unknown fields are ignored, paths are relative to the file.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "kintsugi/nn/blocks/feature.h"
#include "kintsugi/zoo/catalog.h"

namespace kintsugi::zoo {

struct PlanFile {
  Shape input;  // (C,H,W)
  int64_t classes = 0;
  struct Part {  // a network that something is taken from
    std::string model;         // its name in the zoo
    std::string architecture;  // and in the catalog
    std::filesystem::path weights;
    std::string sha256;
    std::string naming;  // what its weights' card said: the network is built accordingly
  };
  struct Stem {
    std::optional<Part> part;  // the network's own stem, or a fresh one:
    int64_t fresh_channels = 0;
  } stem;
  struct Block : Part {
    int64_t first = 0, last = 0;
  };
  std::vector<Block> blocks;
  struct Stitch {
    std::string mode, form;  // mode "none": the blocks are neighbours at home, nothing stands between
    bool none() const { return mode == "none"; }
    nn::FeatureShape in, out;
    int64_t stride = 1;
  };
  std::vector<Stitch> stitches;
  std::optional<Part> head;  // the last network's own head; none: a fresh linear one on pooled features
  Preprocessing preprocessing;
  std::vector<std::string> labels;
  int64_t params = 0, macs = 0;
  std::vector<std::pair<std::string, double>> costs;  // all that were counted, params and macs too
  double objective = 0, bound = 0, gap = 0;
  // The reassembled network's own trained weights, where it has been trained.
  std::filesystem::path weights;
};
PlanFile read_plan(const std::filesystem::path& path);
void write_plan(const std::filesystem::path& path, const PlanFile& plan);

}  // namespace kintsugi::zoo
