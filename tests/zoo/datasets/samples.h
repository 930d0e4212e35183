// Small data sets made in memory.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kintsugi/zoo/datasets/dataset.h"
#include "kintsugi/zoo/datasets/gzip.h"
#include "kintsugi/zoo/datasets/images.h"
#include "tests/zoo/weights/files.h"

namespace kintsugi::test {

inline std::string big_endian(uint32_t value) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out += char(value >> shift);
  return out;
}

// Pixels count up, labels go round 0..9.
inline std::string idx_images(uint32_t count, uint32_t height, uint32_t width) {
  std::string out = big_endian(0x803) + big_endian(count) + big_endian(height) + big_endian(width);
  for (uint32_t i = 0; i < count * height * width; ++i) out += char(i);
  return out;
}

inline std::string idx_labels(uint32_t count) {
  std::string out = big_endian(0x801) + big_endian(count);
  for (uint32_t i = 0; i < count; ++i) out += char(i % 10);
  return out;
}

inline std::string gzipped(const std::string& text) {
  const auto bytes =
      zoo::gzip(std::span(reinterpret_cast<const uint8_t*>(text.data()), text.size()));
  return {bytes.begin(), bytes.end()};
}

// Images of given pixels; the label is the index modulo ten.
class Samples : public zoo::Dataset {
 public:
  Samples(int height, int width, int channels, std::vector<std::vector<uint8_t>> images)
      : height_(height), width_(width), channels_(channels), images_(std::move(images)) {
    for (int i = 0; i < 10; ++i) classes_.push_back(std::to_string(i));
  }
  // `count` images whose pixels tell them apart.
  static std::shared_ptr<Samples> counted(int64_t count, int height, int width, int channels) {
    std::vector<std::vector<uint8_t>> images;
    for (int64_t i = 0; i < count; ++i) {
      std::vector<uint8_t> pixels(size_t(height) * width * channels);
      for (size_t p = 0; p < pixels.size(); ++p) pixels[p] = uint8_t(1 + (i * 37 + p * 11) % 255);
      images.push_back(std::move(pixels));
    }
    return std::make_shared<Samples>(height, width, channels, std::move(images));
  }
  int64_t size() const override { return int64_t(images_.size()); }
  const std::vector<std::string>& classes() const override { return classes_; }
  zoo::Image image(int64_t index) const override {
    if (index == broken) fail(ErrorKind::kFormat, "image ", index, " is broken");
    return {height_, width_, channels_, images_[size_t(index)], nullptr};
  }
  int64_t label(int64_t index) const override { return index % 10; }
  std::string kind() const override { return "samples"; }

  int64_t broken = -1;

 private:
  int height_, width_, channels_;
  std::vector<std::vector<uint8_t>> images_;
  std::vector<std::string> classes_;
};

// False, and says so, where the library has no decoders.
inline bool decoders() {
  if (!zoo::have_image_decoders()) MESSAGE("skipped: built with KINTSUGI_IMAGES=OFF");
  return zoo::have_image_decoders();
}

}  // namespace kintsugi::test
