// What the blocks of a plan saw in the networks that they come from: the targets of its stitches.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>

#include "kintsugi/zoo/datasets/dataset.h"
#include "kintsugi/zoo/files/plan_file.h"
#include "kintsugi/zoo/load.h"

namespace kintsugi::zoo {

// The feature of a shape as rows (N*H*W, C), without prefix tokens.
Tensor feature_rows(const Tensor& feature, const nn::FeatureShape& shape);

class Homes {
 public:
  Homes(const PlanFile& plan, std::shared_ptr<const Dataset> data);

  // The input of block `index` of the plan in its own network, on these images as that network
  // takes them, as feature_rows. Networks are loaded when they are first asked for, and kept.
  Tensor input_rows(size_t index, std::span<const int64_t> images);

 private:
  const PlanFile& plan_;
  std::shared_ptr<const Dataset> data_;
  std::map<std::string, LoadedNetwork> networks_;  // by the path of their weights
};

}  // namespace kintsugi::zoo
