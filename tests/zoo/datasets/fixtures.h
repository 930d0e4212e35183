// What Pillow makes of small images: the files of pillow/, which make_fixtures.py wrote with Pillow 9.5.0.
#pragma once

#include <cstdint>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "kintsugi/zoo/weights/npy.h"

namespace fixtures {

inline std::string path_of(const char* name) {
  return std::string(KINTSUGI_SOURCE_DIR) + "/tests/zoo/datasets/pillow/" + name;
}

inline std::vector<uint8_t> file(const char* name) {
  std::ifstream in(path_of(name), std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

inline std::vector<uint8_t> pixels(const char* name) {
  return kintsugi::zoo::read_npy(path_of(name) + ".npy").to_vector<uint8_t>();
}

inline const std::vector<uint8_t> kColour9x7 = pixels("noise_9x7");
inline const std::vector<uint8_t> kLuma9x7 = pixels("luma_9x7");
inline const std::vector<uint8_t> kBilinear4x3 = pixels("bilinear_4x3");
inline const std::vector<uint8_t> kBilinear9x5 = pixels("bilinear_9x5");
inline const std::vector<uint8_t> kBilinear13x16 = pixels("bilinear_13x16");
inline const std::vector<uint8_t> kBilinear3x20 = pixels("bilinear_3x20");
inline const std::vector<uint8_t> kBicubic4x3 = pixels("bicubic_4x3");
inline const std::vector<uint8_t> kBicubic9x5 = pixels("bicubic_9x5");
inline const std::vector<uint8_t> kBicubic13x16 = pixels("bicubic_13x16");
inline const std::vector<uint8_t> kBicubic3x20 = pixels("bicubic_3x20");
inline const std::vector<uint8_t> kSmooth16x24 = pixels("smooth.png");
inline const std::vector<uint8_t> kPng = file("smooth.png");
inline const std::vector<uint8_t> kPngPalette = file("palette.png");
inline const std::vector<uint8_t> kPngPalettePixels = pixels("palette.png");
inline const std::vector<uint8_t> kPngAlpha = file("alpha.png");
inline const std::vector<uint8_t> kPngOneBit = file("one_bit.png");
inline const std::vector<uint8_t> kPngOneBitPixels = pixels("one_bit.png");
inline const std::vector<uint8_t> kJpegColour = file("colour.jpg");
inline const std::vector<uint8_t> kJpegColourPixels = pixels("colour.jpg");
inline const std::vector<uint8_t> kJpegGrey = file("grey.jpg");
inline const std::vector<uint8_t> kJpegGreyPixels = pixels("grey.jpg");
inline const std::vector<uint8_t> kJpegProgressive = file("progressive.jpg");
inline const std::vector<uint8_t> kJpegProgressivePixels = pixels("progressive.jpg");

}  // namespace fixtures
