// PNG and JPEG to pixels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace kintsugi::zoo {

struct DecodedImage {
  int height = 0;
  int width = 0;
  int channels = 0;             // 1 or 3
  std::vector<uint8_t> pixels;  // (H,W,C)
};

bool have_image_decoders();  // whether the library was built with KINTSUGI_IMAGES

// By the first bytes. As Pillow's convert("RGB") and exif_transpose make of it: palettes are looked
// up, transparency is dropped, 16-bit colour keeps its high byte while 16-bit grey is cut off at
// 255, CMYK and YCCK become RGB, and EXIF's orientation is carried out. kFormat where the data are
// broken, cut short, or more than max_pixels; kMissing where the library was built without
// KINTSUGI_IMAGES. `name` begins messages.
DecodedImage decode_image(std::span<const std::byte> bytes, const std::string& name,
                          int64_t max_pixels = 100'000'000);
DecodedImage read_image(const std::filesystem::path& path, int64_t max_pixels = 100'000'000);

}  // namespace kintsugi::zoo
