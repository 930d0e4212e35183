// A libFuzzer target for the image decoder.
#include <cstdlib>
#include <cstring>

#include "kintsugi/engine/core/error.h"
#include "kintsugi/zoo/datasets/images.h"

using namespace kintsugi;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr int64_t kMostPixels = 1 << 20;
  try {
    const auto image =
        zoo::decode_image(std::as_bytes(std::span(data, size)), "image", kMostPixels);
    const auto pixels = int64_t(image.height) * image.width;
    if (pixels > kMostPixels || int64_t(image.pixels.size()) != pixels * image.channels) {
      std::abort();
    }
  } catch (const Error& error) {
    if (std::strchr(error.what(), '\n') != nullptr) std::abort();
  }
  return 0;
}
