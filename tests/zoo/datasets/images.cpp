#include "kintsugi/zoo/datasets/images.h"

#include <cstring>

#include "kintsugi/zoo/datasets/resize.h"
#include "kintsugi/zoo/weights/npy.h"
#include "tests/zoo/datasets/fixtures.h"
#include "tests/zoo/datasets/samples.h"

using namespace kintsugi;
using namespace kintsugi::test;

TEST_CASE("resize: Pillow's bits") {
  const auto check = [](const std::vector<uint8_t>& want, int height, int width,
                        zoo::Interpolation how) {
    CAPTURE(height);
    CHECK(zoo::resize_image(fixtures::kColour9x7, 9, 7, 3, zoo::plan_resize(9, 7, height, width, 0),
                            how) == want);
  };
  using zoo::Interpolation;
  check(fixtures::kBilinear4x3, 4, 3, Interpolation::kBilinear);
  check(fixtures::kBilinear9x5, 9, 5, Interpolation::kBilinear);
  check(fixtures::kBilinear13x16, 13, 16, Interpolation::kBilinear);
  check(fixtures::kBilinear3x20, 3, 20, Interpolation::kBilinear);
  check(fixtures::kBicubic4x3, 4, 3, Interpolation::kBicubic);
  check(fixtures::kBicubic9x5, 9, 5, Interpolation::kBicubic);
  check(fixtures::kBicubic13x16, 13, 16, Interpolation::kBicubic);
  check(fixtures::kBicubic3x20, 3, 20, Interpolation::kBicubic);
}

TEST_CASE("resize: a window of a resized image is cut from the whole") {
  zoo::ResizePlan plan{13, 16, 0, 0, 13, 16};
  const auto whole =
      zoo::resize_image(fixtures::kColour9x7, 9, 7, 3, plan, zoo::Interpolation::kBicubic);
  plan = {13, 16, 4, 5, 6, 7};
  const auto part =
      zoo::resize_image(fixtures::kColour9x7, 9, 7, 3, plan, zoo::Interpolation::kBicubic);
  for (size_t y = 0; y < 6; ++y) {
    CHECK(std::equal(part.begin() + ptrdiff_t(y * 21), part.begin() + ptrdiff_t((y + 1) * 21),
                     whole.begin() + ptrdiff_t(((y + 4) * 16 + 5) * 3)));
  }
}

TEST_CASE("resize: timm's sizes of a centre crop") {
  // 500 x 375 at crop 0.875 of 224: the shorter side to 256, the longer to int(256 * 500 / 375).
  const auto plan = zoo::plan_resize(375, 500, 224, 224, 0.875);
  CHECK((plan.height == 256 && plan.width == 341 && plan.top == 16 && plan.left == 58));
  const auto other = zoo::plan_resize(300, 100, 224, 224, 0.95);  // floor(235.79) = 235
  CHECK((other.width == 235 && other.height == 705 && other.top == 240 && other.left == 6));
  expect_error(ErrorKind::kShape, "at most 2^20",
               [] { zoo::plan_resize(1, 65535, 224, 224, 0.875); });
}

namespace {

zoo::DecodedImage decode(const std::vector<uint8_t>& bytes, int64_t max_pixels = 1000) {
  return zoo::decode_image(std::as_bytes(std::span(bytes)), "x", max_pixels);
}

void refuse(const std::vector<uint8_t>& bytes, const std::string& phrase) {
  expect_error(ErrorKind::kFormat, phrase, [&] { decode(bytes); });
}

uint32_t crc32(const uint8_t* data, size_t size) {
  uint32_t crc = ~0u;
  for (size_t i = 0; i < size; ++i) {
    crc ^= data[i];
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
  }
  return ~crc;
}

// The fixture with another size in its header, and a checksum that agrees.
std::vector<uint8_t> png_that_claims(uint32_t width, uint32_t height) {
  auto png = fixtures::kPng;
  const auto put32 = [&](size_t at, uint32_t value) {
    for (int i = 0; i < 4; ++i) png[at + size_t(i)] = uint8_t(value >> (24 - 8 * i));
  };
  put32(16, width);
  put32(20, height);
  put32(29, crc32(png.data() + 12, 17));
  return png;
}

}  // namespace

TEST_CASE("png: colour, palette, transparency and one bit") {
  if (!decoders()) return;
  const auto colour = decode(fixtures::kPng);
  CHECK((colour.height == 16 && colour.width == 24 && colour.channels == 3));
  CHECK(colour.pixels == fixtures::kSmooth16x24);
  CHECK(decode(fixtures::kPngPalette).pixels == fixtures::kPngPalettePixels);
  CHECK(decode(fixtures::kPngAlpha).pixels == fixtures::kSmooth16x24);
  CHECK(decode(fixtures::kPngOneBit).pixels == fixtures::kPngOneBitPixels);
}

TEST_CASE("jpeg: Pillow's pixels, grey, colour and progressive") {
  if (!decoders()) return;
  for (const auto& [bytes, pixels, channels] :
       {std::tuple(fixtures::kJpegColour, fixtures::kJpegColourPixels, 3),
        std::tuple(fixtures::kJpegGrey, fixtures::kJpegGreyPixels, 1),
        std::tuple(fixtures::kJpegProgressive, fixtures::kJpegProgressivePixels, 3)}) {
    const auto image = decode(bytes);
    CHECK((image.height == 16 && image.width == 24 && image.channels == channels));
    REQUIRE(image.pixels.size() == pixels.size());
    int most = 0;
    for (size_t i = 0; i < pixels.size(); ++i) {
      most = std::max(most, std::abs(int(image.pixels[i]) - int(pixels[i])));
    }
    CHECK(most <= 1);  // versions of libjpeg round the colour upsampling differently
  }
}

TEST_CASE("images: orientation, inks, depth and transparency as Pillow has them") {
  if (!decoders()) return;
  const auto folder = std::filesystem::path(KINTSUGI_SOURCE_DIR) / "tests/zoo/datasets/data";
  int images = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".npy") continue;
    CAPTURE(entry.path().filename().string());
    const auto image = zoo::read_image(entry.path());
    const Tensor want = zoo::read_npy(entry.path().string() + ".npy");
    REQUIRE((image.height == want.size(0) && image.width == want.size(1)));
    const auto pixels = want.to_vector<uint8_t>();
    int most = 0;
    for (size_t i = 0; i < pixels.size(); ++i) {
      const size_t at = image.channels == 3 ? i : i / 3;
      most = std::max(most, std::abs(int(image.pixels[at]) - int(pixels[i])));
    }
    CHECK(most <= (entry.path().extension() == ".jpg" ? 1 : 0));
    ++images;
  }
  CHECK(images == 13);
}

TEST_CASE("images: sizes beyond the bound and beyond the file") {
  if (!decoders()) return;
  expect_error(ErrorKind::kFormat, "24 x 16 pixels, expected at most 383",
               [] { decode(fixtures::kJpegColour, 383); });
  expect_error(ErrorKind::kFormat, "24 x 16 pixels, expected at most 383",
               [] { decode(fixtures::kPng, 383); });
  refuse(png_that_claims(0, 16), "broken PNG");
  refuse(png_that_claims(0xffffffff, 16), "broken PNG");
  // 100 million pixels are within the default bound, not within a file of a few hundred bytes.
  expect_error(ErrorKind::kFormat, "bytes cannot hold 10000 x 10000 pixels",
               [] { decode(png_that_claims(10000, 10000), 100'000'000); });
  refuse(png_that_claims(24, 17), "broken PNG");
  // Found by the fuzzer: libpng would take 1.8 GB for this before reading it.
  auto greedy = fixtures::kPng;
  const std::vector<uint8_t> chunk{0x6e, 0xac, 0, 0x1a, 'e', 'X', 'I', 'f'};
  greedy.insert(greedy.begin() + 33, chunk.begin(), chunk.end());
  refuse(greedy, "a chunk of 1856765978 bytes");
  // And for this, where the file ends inside the chunk's first bytes.
  greedy.resize(33 + 9);
  refuse(greedy, "a chunk of 1856765978 bytes");
}

TEST_CASE("images: cut at every byte") {
  if (!decoders()) return;
  for (const auto* whole : {&fixtures::kPng, &fixtures::kPngPalette, &fixtures::kJpegColour,
                            &fixtures::kJpegProgressive}) {
    // JPEG's last two bytes mark the end; the pixels are whole without them, and a decoder may say
    // so.
    const size_t needed = whole->size() - ((*whole)[0] == 0xff ? 2 : 0);
    for (size_t n = 0; n < needed; ++n) {
      CAPTURE(n);
      const std::vector<uint8_t> cut(whole->begin(), whole->begin() + ptrdiff_t(n));
      CHECK_THROWS_AS(decode(cut), Error);
    }
  }
}

TEST_CASE("images: every byte changed") {
  if (!decoders()) return;
  // Whatever the change, an image of a bounded size or an Error; the sanitizers watch the rest.
  for (const auto* whole : {&fixtures::kPng, &fixtures::kPngPalette, &fixtures::kJpegColour,
                            &fixtures::kJpegProgressive}) {
    int refused = 0;
    for (size_t at = 0; at < whole->size(); ++at) {
      auto changed = *whole;
      changed[at] ^= 0xff;
      try {
        const auto image = decode(changed, 5000);
        CHECK(image.pixels.size() <= 15000);
      } catch (const Error&) {
        ++refused;
      }
    }
    CHECK(refused > 50);
  }
  refuse({}, "an empty file");
  refuse({'G', 'I', 'F', '8', '9', 'a'}, "neither PNG nor JPEG");
}
