// Resizing of 8-bit images as Pillow does it, to the bit (across, then down, as it did
// before version 13): a network's published accuracy was measured with that.
// https://pillow.readthedocs.io/en/stable/handbook/concepts.html#filters
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace kintsugi::zoo {

enum class Interpolation { kBilinear, kBicubic };  // both antialiased where they shrink

struct ResizePlan {
  int height = 0, width = 0;  // of the whole resized image
  int top = 0, left = 0;      // the window of it that is wanted
  int window_height = 0, window_width = 0;
};

// Source (H,W,C) to (window_height, window_width, C).
std::vector<uint8_t> resize_image(std::span<const uint8_t> pixels, int height, int width,
                                  int channels, const ResizePlan& plan,
                                  Interpolation interpolation);

// What gives height x width of an image: all of it squeezed (crop_fraction 0), or the centre of one
// that was resized, its shape kept, to cover floor(height / f) x floor(width / f).
ResizePlan plan_resize(int from_height, int from_width, int height, int width,
                       double crop_fraction);

}  // namespace kintsugi::zoo
