// The blocks of the Swin Transformer (Liu et al. 2021), under timm's names. Grids in and out;
// inside they are (N,H,W,C).
#pragma once

#include <array>

#include "kintsugi/nn/blocks/mlp.h"

namespace kintsugi::nn {

// Attention inside windows, with a learnt bias for each offset within a window ("relative_position_
// bias_table" ((2WH-1)(2WW-1), heads)), and a mask where a window holds what was rolled in.
class WindowAttention : public Module {
 public:
  WindowAttention(int64_t channels, int64_t heads, std::array<int64_t, 2> window);

  // (N*windows, WH*WW, C); mask (windows,1,WH*WW,WH*WW), or undefined.
  Variable attend(const Variable& x, const Tensor& mask);

 protected:
  Variable forward(const Variable& x) override { return attend(x, Tensor()); }

 private:
  std::array<int64_t, 2> window_;
  int64_t heads_;
  Variable table_;
  Linear &qkv_, &proj_;
};

class SwinBlock : public Module {
 public:
  // `h`, `w`: of the grid. A window no smaller than the grid is the grid, and does not shift.
  SwinBlock(int64_t channels, int64_t heads, int64_t h, int64_t w, int64_t window, bool shifted,
            double drop_path = 0);

 protected:
  Variable forward(const Variable& x) override;

 private:
  Variable windows(const Variable& x);  // attention of (N,H,W,C)
  std::array<int64_t, 2> window_, shift_;
  LayerNorm& norm1_;
  WindowAttention& attn_;
  DropPath& drop_path1_;
  LayerNorm& norm2_;
  Mlp& mlp_;
  DropPath& drop_path2_;
};

// 2x2 neighbours become one place with four times the channels, then norm, then a linear layer.
class PatchMerging : public Module {
 public:
  PatchMerging(int64_t in, int64_t out);

 protected:
  Variable forward(const Variable& x) override;

 private:
  LayerNorm& norm_;
  Linear& reduction_;
};

}  // namespace kintsugi::nn
