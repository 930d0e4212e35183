// What the commands' JSON has in common.
#pragma once

#include <nlohmann/json.hpp>

#include "kintsugi/engine/core/shape.h"
#include "kintsugi/nn/blocks/feature.h"

namespace kintsugi::apps {

using Json = nlohmann::ordered_json;  // fields stay in the contract's order

inline Json json_of(const Shape& shape) {
  return std::vector<int64_t>(shape.begin(), shape.end());
}
inline Json json_of(const nn::FeatureShape& shape) {
  return {shape.c, shape.h, shape.w};
}

}  // namespace kintsugi::apps
