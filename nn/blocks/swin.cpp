#include "kintsugi/nn/blocks/swin.h"

#include <cmath>

#include "kintsugi/autograd/ops/attention.h"
#include "kintsugi/autograd/ops/elementwise.h"
#include "kintsugi/autograd/ops/layout.h"

namespace kintsugi::nn {

namespace {

constexpr double kEpsilon = 1e-5;  // PyTorch's own default, which Swin's norms keep

// Where pair (i,j) of a window's places finds its bias: row (dy + WH-1)(2WW-1) + dx + WW-1.
Tensor offset_rows(std::array<int64_t, 2> window) {
  const int64_t area = window[0] * window[1];
  Tensor rows = Tensor::empty({area * area}, DType::kI64);
  int64_t* to = rows.data<int64_t>();
  for (int64_t i = 0; i < area; ++i) {
    for (int64_t j = 0; j < area; ++j) {
      const int64_t dy = i / window[1] - j / window[1], dx = i % window[1] - j % window[1];
      *to++ = (dy + window[0] - 1) * (2 * window[1] - 1) + dx + window[1] - 1;
    }
  }
  return rows;
}

// Of the last window along an axis of `size` places, the last `shift` were rolled in from the
// front.
int64_t region(int64_t place, int64_t size, int64_t window, int64_t shift) {
  if (shift == 0 || place >= size - shift) return 2;
  return place >= size - window ? 1 : 0;
}

// (windows,1,area,area): -100 between places that the roll made neighbours, as the authors have it.
Tensor roll_mask(int64_t h, int64_t w, std::array<int64_t, 2> window,
                 std::array<int64_t, 2> shift) {
  const int64_t area = window[0] * window[1], across = w / window[1];
  const int64_t count = h / window[0] * across;
  Tensor mask = Tensor::empty({count, 1, area, area});
  float* to = mask.data<float>();
  const auto label = [&](int64_t k, int64_t i) {
    const int64_t y = k / across * window[0] + i / window[1];
    const int64_t x = k % across * window[1] + i % window[1];
    return 3 * region(y, h, window[0], shift[0]) + region(x, w, window[1], shift[1]);
  };
  for (int64_t k = 0; k < count; ++k) {
    for (int64_t i = 0; i < area; ++i) {
      for (int64_t j = 0; j < area; ++j) *to++ = label(k, i) == label(k, j) ? 0 : -100;
    }
  }
  return mask;
}

int64_t padding(int64_t size, int64_t window) {
  return (window - size % window) % window;
}

}  // namespace

WindowAttention::WindowAttention(int64_t channels, int64_t heads, std::array<int64_t, 2> window)
    : window_(window),
      heads_(heads),
      qkv_(child<Linear>("qkv", channels, 3 * channels)),
      proj_(child<Linear>("proj", channels, channels)) {
  if (channels % heads != 0) {
    fail(ErrorKind::kShape, "attention: ", channels, " channels do not divide into ", heads,
         " heads");
  }
  table_ = parameter("relative_position_bias_table",
                     {(2 * window[0] - 1) * (2 * window[1] - 1), heads}, init::trunc_normal());
}

Variable WindowAttention::attend(const Variable& x, const Tensor& mask) {
  using namespace autograd;
  const int64_t area = x.size(1), c = x.size(2), width = c / heads_;
  Variable bias = transpose(gather(table_, 0, offset_rows(window_).to(table_.value().device())), 0, 1);
  bias = reshape(bias, {1, heads_, area, area});
  // Each window's mask is its own: its windows then count as heads, so that one bias serves all
  // images.
  const int64_t groups = mask.defined() ? mask.size(0) : 1, n = x.size(0) / groups;
  if (mask.defined()) {
    bias = reshape(add(bias, Variable(mask)), {1, groups * heads_, area, area});
  }
  const Variable qkv =
      permute(reshape(qkv_(x), {n, groups, area, 3, heads_, width}), {3, 0, 1, 4, 2, 5});
  const auto part = [&](int64_t i) {
    return reshape(slice(qkv, 0, i, i + 1), {n, groups * heads_, area, width});
  };
  const Variable y = attention(part(0), part(1), part(2), bias, 1 / std::sqrt(double(width)));
  const Variable merged = permute(reshape(y, {n, groups, heads_, area, width}), {0, 1, 3, 2, 4});
  return proj_(reshape(merged, {n * groups, area, c}));
}

SwinBlock::SwinBlock(int64_t channels, int64_t heads, int64_t h, int64_t w, int64_t window,
                     bool shifted, double drop_path)
    : window_{std::min(h, window), std::min(w, window)},
      shift_{shifted && h > window ? window / 2 : 0, shifted && w > window ? window / 2 : 0},
      norm1_(child<LayerNorm>("norm1", channels, kEpsilon)),
      attn_(child<WindowAttention>("attn", channels, heads, window_)),
      drop_path1_(child<DropPath>("drop_path1", drop_path)),
      norm2_(child<LayerNorm>("norm2", channels, kEpsilon)),
      mlp_(child<Mlp>("mlp", channels, 4 * channels)),
      drop_path2_(child<DropPath>("drop_path2", drop_path)) {}

Variable SwinBlock::windows(const Variable& x) {
  using namespace autograd;
  const int64_t n = x.size(0), h = x.size(1), w = x.size(2), c = x.size(3);
  const bool shifted = shift_[0] > 0 || shift_[1] > 0;
  Variable y = shifted ? roll(x, {-shift_[0], -shift_[1]}, {1, 2}) : x;
  const int64_t down = padding(h, window_[0]), right = padding(w, window_[1]);
  if (down > 0 || right > 0) y = pad(y, {{1, 0, down}, {2, 0, right}});
  const int64_t rows = (h + down) / window_[0], columns = (w + right) / window_[1];
  y = permute(reshape(y, {n, rows, window_[0], columns, window_[1], c}), {0, 1, 3, 2, 4, 5});
  y = reshape(y, {n * rows * columns, window_[0] * window_[1], c});
  Tensor mask;
  if (shifted) {
    mask = x.value().is_meta()
               ? Tensor::empty({rows * columns, 1, y.size(1), y.size(1)}, DType::kF32, kMeta)
               : roll_mask(h + down, w + right, window_, shift_).to(x.value().device());
  }
  y = reshape(attn_.attend(y, mask), {n, rows, columns, window_[0], window_[1], c});
  y = reshape(permute(y, {0, 1, 3, 2, 4, 5}), {n, h + down, w + right, c});
  if (down > 0) y = slice(y, 1, 0, h);
  if (right > 0) y = slice(y, 2, 0, w);
  return shifted ? roll(y, {shift_[0], shift_[1]}, {1, 2}) : y;
}

Variable SwinBlock::forward(const Variable& x) {
  using namespace autograd;
  const int64_t n = x.size(0), c = x.size(1), h = x.size(2), w = x.size(3);
  const Variable tokens = grid_to_tokens(x);
  const Variable attended = windows(reshape(norm1_(tokens), {n, h, w, c}));
  const Variable y = add(tokens, drop_path1_(reshape(attended, {n, h * w, c})));
  return tokens_to_grid(add(y, drop_path2_(mlp_(norm2_(y)))), h, w);
}

PatchMerging::PatchMerging(int64_t in, int64_t out)
    : norm_(child<LayerNorm>("norm", 4 * in, kEpsilon)),
      reduction_(child<Linear>("reduction", 4 * in, out, false)) {}

Variable PatchMerging::forward(const Variable& x) {
  using namespace autograd;
  const int64_t n = x.size(0), c = x.size(1);
  Variable y = reshape(grid_to_tokens(x), {n, x.size(2), x.size(3), c});
  if (y.size(1) % 2 != 0 || y.size(2) % 2 != 0) {
    y = pad(y, {{1, 0, y.size(1) % 2}, {2, 0, y.size(2) % 2}});
  }
  const int64_t h = y.size(1) / 2, w = y.size(2) / 2;
  // The four neighbours in the order (0,0), (1,0), (0,1), (1,1) of (row, column).
  y = permute(reshape(y, {n, h, 2, w, 2, c}), {0, 1, 3, 4, 2, 5});
  return tokens_to_grid(reduction_(norm_(reshape(y, {n, h * w, 4 * c}))), h, w);
}

}  // namespace kintsugi::nn
