// What flows between blocks: a grid (N,C,H,W), or tokens (N,prefix+H*W,C) that remember their grid.
#pragma once

#include <string>

#include "kintsugi/engine/core/shape.h"

namespace kintsugi::nn {

struct FeatureShape {
  enum class Kind { kGrid, kTokens };
  Kind kind = Kind::kGrid;
  int64_t c = 0, h = 0, w = 0;
  int64_t prefix_tokens = 0;  // class and register tokens, before the grid's

  static FeatureShape grid(int64_t c, int64_t h, int64_t w) { return {Kind::kGrid, c, h, w, 0}; }
  static FeatureShape tokens(int64_t c, int64_t h, int64_t w, int64_t prefix) {
    return {Kind::kTokens, c, h, w, prefix};
  }
  bool is_grid() const { return kind == Kind::kGrid; }
  Shape tensor_shape(int64_t n) const {
    return is_grid() ? Shape{n, c, h, w} : Shape{n, prefix_tokens + h * w, c};
  }
  friend bool operator==(const FeatureShape&, const FeatureShape&) = default;
};

inline const char* name_of(FeatureShape::Kind kind) {
  return kind == FeatureShape::Kind::kGrid ? "grid" : "tokens";
}

}  // namespace kintsugi::nn
