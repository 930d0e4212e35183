#include "kintsugi/zoo/datasets/images.h"

#include "kintsugi/engine/core/error.h"
#include "kintsugi/zoo/weights/mapped_file.h"

#ifdef KINTSUGI_HAVE_IMAGES
#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstring>

#include <jpeglib.h>

#include <jerror.h>
#include <png.h>
#endif

namespace kintsugi::zoo {

#ifdef KINTSUGI_HAVE_IMAGES

namespace {

// Both libraries report errors through longjmp, which runs no destructors. So each session owns
// everything in a struct that lives outside the function that calls setjmp, and nothing with a
// destructor is made inside.

void check_size(const std::string& name, uint64_t width, uint64_t height, int64_t max_pixels) {
  if (width > 0 && height > 0 && width <= uint64_t(max_pixels) / height) return;
  fail(ErrorKind::kFormat, name, ": got an image of ", width, " x ", height,
       " pixels, expected at most ", max_pixels, " in all");
}

bool begins_with(std::span<const std::byte> bytes, std::string_view magic) {
  return bytes.size() >= magic.size() && std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
}

// Adobe's programs store inks inverted, and Pillow takes every JPEG of four inks for theirs; so
// this is 255 - ink already. The product is rounded as Pillow rounds it.
void from_inks(std::span<const uint8_t> inks, uint8_t* rgb) {
  for (size_t i = 0; i < inks.size(); i += 4) {
    const int light = inks[i + 3];
    for (size_t c = 0; c < 3; ++c) {
      const int product = (255 - inks[i + c]) * light + 128;
      *rgb++ = uint8_t(std::clamp(light - ((product >> 8) + product) / 256, 0, 255));
    }
  }
}

// Tag 0x0112 of EXIF's first directory (a TIFF file,
// https://www.cipa.jp/std/documents/e/DC-008-2012_E.pdf), 1 to 8; 1, as it lies, where there is
// none or the EXIF data are broken.
int exif_orientation(std::span<const uint8_t> exif) {
  if (exif.size() < 8 || exif[0] != exif[1] || (exif[0] != 'I' && exif[0] != 'M')) return 1;
  const auto number = [&](size_t at, size_t count) -> size_t {
    if (at > exif.size() || count > exif.size() - at) return 0;
    size_t value = 0;
    for (size_t i = 0; i < count; ++i) {
      value = value << 8 | exif[exif[0] == 'M' ? at + i : at + count - 1 - i];
    }
    return value;
  };
  const size_t directory = number(4, 4), entries = number(directory, 2);
  for (size_t i = 0; i < entries; ++i) {
    const size_t entry = directory + 2 + 12 * i;
    constexpr size_t kShort = 3;
    if (number(entry, 2) != 0x0112 || number(entry + 2, 2) != kShort) continue;
    const size_t value = number(entry + 8, 2);
    return value >= 1 && value <= 8 ? int(value) : 1;
  }
  return 1;
}

// Turned and mirrored so that it stands upright: 2 to 4 flip, 5 to 8 swap rows and columns.
DecodedImage oriented(DecodedImage image, int orientation) {
  if (orientation == 1) return image;
  const bool swapped = orientation >= 5;
  DecodedImage out;
  out.channels = image.channels;
  out.height = swapped ? image.width : image.height;
  out.width = swapped ? image.height : image.width;
  out.pixels.resize(image.pixels.size());
  // From the right for 2, 3, 7, 8; from the bottom for 3, 4, 6, 7 (in the stored image).
  const bool right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool bottom = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  const auto channels = size_t(image.channels);
  uint8_t* to = out.pixels.data();
  for (int y = 0; y < out.height; ++y) {
    for (int x = 0; x < out.width; ++x, to += channels) {
      int from_y = swapped ? x : y, from_x = swapped ? y : x;
      if (bottom) from_y = image.height - 1 - from_y;
      if (right) from_x = image.width - 1 - from_x;
      const size_t from = (size_t(from_y) * size_t(image.width) + size_t(from_x)) * channels;
      std::copy_n(image.pixels.data() + from, channels, to);
    }
  }
  return out;
}

struct PngSession {
  png_structp png = nullptr;
  png_infop info = nullptr;
  std::span<const std::byte> rest;
  std::string message;
  DecodedImage image;
  int passes = 1;
  bool deep_grey = false;
  int orientation = 1;
  ~PngSession() { png_destroy_read_struct(&png, &info, nullptr); }
};

void png_fail(png_structp png, png_const_charp text) {
  static_cast<PngSession*>(png_get_error_ptr(png))->message = text;
  png_longjmp(png, 1);
}

void png_ignore(png_structp, png_const_charp) {}

void png_take(png_structp png, png_bytep out, size_t count) {
  auto* session = static_cast<PngSession*>(png_get_io_ptr(png));
  if (count > session->rest.size()) png_error(png, "the data end too early");
  std::memcpy(out, session->rest.data(), count);
  session->rest = session->rest.subspan(count);
}

bool png_begin(PngSession& session, int64_t max_pixels) {
  if (setjmp(png_jmpbuf(session.png))) return false;
  png_set_read_fn(session.png, &session, png_take);
  const auto side = png_uint_32(std::min<int64_t>(max_pixels, PNG_UINT_31_MAX));
  png_set_user_limits(session.png, side, side);
  png_set_chunk_malloc_max(session.png, 16 << 20);
  png_read_info(session.png, session.info);
  // Pillow reads 16-bit grey as whole numbers and cuts them off at 255, but keeps the high byte of
  // 16-bit colour; networks saw what Pillow made.
  session.deep_grey = png_get_bit_depth(session.png, session.info) == 16 &&
                      png_get_color_type(session.png, session.info) == PNG_COLOR_TYPE_GRAY;
  if (!session.deep_grey) png_set_strip_16(session.png);
  png_set_packing(session.png);
  png_set_expand(session.png);
  png_set_strip_alpha(session.png);
  session.passes = png_set_interlace_handling(session.png);
  png_read_update_info(session.png, session.info);
  return true;
}

bool png_rows(PngSession& session) {
  if (setjmp(png_jmpbuf(session.png))) return false;
  const size_t row = png_get_rowbytes(session.png, session.info);
  for (int pass = 0; pass < session.passes; ++pass) {
    uint8_t* at = session.image.pixels.data();
    for (int y = 0; y < session.image.height; ++y, at += row) {
      png_read_row(session.png, at, nullptr);
    }
  }
  png_read_end(session.png, session.info);
  png_bytep exif = nullptr;
  png_uint_32 length = 0;
  if (png_get_eXIf_1(session.png, session.info, &length, &exif) != 0) {
    session.orientation = exif_orientation({exif, length});
  }
  return true;
}

// libpng takes memory for all that a chunk says it holds before it reads it, whatever limit is set.
void check_chunks(std::span<const std::byte> bytes, const std::string& name) {
  constexpr size_t kSignature = 8, kHead = 8, kChecksum = 4;  // length and kind come first
  for (size_t at = kSignature; at + kHead <= bytes.size();) {
    uint64_t length = 0;
    for (size_t i = 0; i < 4; ++i) length = length << 8 | std::to_integer<uint64_t>(bytes[at + i]);
    const size_t left = bytes.size() - at - kHead;
    if (length + kChecksum > left) {
      fail(ErrorKind::kFormat, name, ": broken PNG: a chunk of ", length, " bytes and a checksum where ",
           left, " are left");
    }
    if (std::memcmp(&bytes[at + 4], "IEND", 4) == 0) return;
    at += kHead + length + kChecksum;
  }
}

DecodedImage decode_png(std::span<const std::byte> bytes, const std::string& name,
                        int64_t max_pixels) {
  check_chunks(bytes, name);
  PngSession session;
  session.rest = bytes;
  session.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &session, png_fail, png_ignore);
  if (session.png) session.info = png_create_info_struct(session.png);
  if (!session.info) fail(ErrorKind::kMemory, name, ": libpng cannot start");
  const auto broken = [&] { fail(ErrorKind::kFormat, name, ": broken PNG: ", session.message); };
  if (!png_begin(session, max_pixels)) broken();

  const uint64_t width = png_get_image_width(session.png, session.info);
  const uint64_t height = png_get_image_height(session.png, session.info);
  check_size(name, width, height, max_pixels);
  DecodedImage& image = session.image;
  image.width = int(width);
  image.height = int(height);
  image.channels = png_get_channels(session.png, session.info);
  const size_t row = png_get_rowbytes(session.png, session.info);
  const size_t sample = session.deep_grey ? 2 : 1;
  if ((image.channels != 1 && image.channels != 3) ||
      row != width * size_t(image.channels) * sample) {
    fail(ErrorKind::kFormat, name, ": broken PNG: got ", image.channels, " channels in ", row,
         " bytes a row");
  }
  // Deflate packs at most 1032 to 1, and a packed 1-bit pixel unpacks to a byte.
  if (width * height / 8 / 1032 > bytes.size()) {
    fail(ErrorKind::kFormat, name, ": broken PNG: ", bytes.size(), " bytes cannot hold ", width,
         " x ", height, " pixels");
  }
  image.pixels.resize(height * row);
  if (!png_rows(session)) broken();
  if (session.deep_grey) {
    for (size_t i = 0; i < width * height; ++i) {
      image.pixels[i] = image.pixels[2 * i] != 0 ? 255 : image.pixels[2 * i + 1];
    }
    image.pixels.resize(width * height);
  }
  return oriented(std::move(image), session.orientation);
}

struct JpegSession {
  jpeg_decompress_struct jpeg{};
  jpeg_error_mgr errors{};
  jpeg_progress_mgr progress{};
  std::jmp_buf jump;
  char message[JMSG_LENGTH_MAX] = "";
  DecodedImage image;
  std::vector<uint8_t> inks;  // a row of CMYK
  ~JpegSession() { jpeg_destroy_decompress(&jpeg); }
};

void jpeg_fail(j_common_ptr jpeg) {
  auto* session = static_cast<JpegSession*>(jpeg->client_data);
  jpeg->err->format_message(jpeg, session->message);
  std::longjmp(session->jump, 1);
}

// libjpeg fills broken parts with grey and goes on; wrong pixels are an error here. What only
// breaks the letter of the standard passes: millions of photographs do.
void jpeg_warn(j_common_ptr jpeg, int level) {
  if (level >= 0) return;
  switch (jpeg->err->msg_code) {
    case JWRN_EXTRANEOUS_DATA:
    case JWRN_ADOBE_XFORM:
    case JWRN_JFIF_MAJOR:
    case JWRN_TOO_MUCH_DATA:
      return;
    default:
      jpeg_fail(jpeg);
  }
}

void jpeg_bound_scans(j_common_ptr jpeg) {
  // A progressive file of endless scans keeps a decoder busy for hours.
  if (reinterpret_cast<j_decompress_ptr>(jpeg)->input_scan_number <= 500) return;
  auto* session = static_cast<JpegSession*>(jpeg->client_data);
  std::strcpy(session->message, "more than 500 scans");
  std::longjmp(session->jump, 1);
}

bool jpeg_begin(JpegSession& session, std::span<const std::byte> bytes) {
  session.jpeg.err = jpeg_std_error(&session.errors);
  session.errors.error_exit = jpeg_fail;
  session.errors.emit_message = jpeg_warn;
  session.jpeg.client_data = &session;
  if (setjmp(session.jump)) return false;
  jpeg_create_decompress(&session.jpeg);
  session.jpeg.client_data = &session;
  session.progress.progress_monitor = jpeg_bound_scans;
  session.jpeg.progress = &session.progress;
  jpeg_save_markers(&session.jpeg, JPEG_APP0 + 1, 0xffff);  // where EXIF stands
  jpeg_mem_src(&session.jpeg, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  jpeg_read_header(&session.jpeg, TRUE);
  return true;
}

bool jpeg_rows(JpegSession& session) {
  if (setjmp(session.jump)) return false;
  jpeg_start_decompress(&session.jpeg);
  const size_t row = size_t(session.image.width) * session.image.channels;
  while (session.jpeg.output_scanline < session.jpeg.output_height) {
    uint8_t* pixels = session.image.pixels.data() + session.jpeg.output_scanline * row;
    JSAMPROW at = session.inks.empty() ? pixels : session.inks.data();
    jpeg_read_scanlines(&session.jpeg, &at, 1);
    if (!session.inks.empty()) from_inks(session.inks, pixels);
  }
  jpeg_finish_decompress(&session.jpeg);
  return true;
}

DecodedImage decode_jpeg(std::span<const std::byte> bytes, const std::string& name,
                         int64_t max_pixels) {
  JpegSession session;
  const auto broken = [&] { fail(ErrorKind::kFormat, name, ": broken JPEG: ", session.message); };
  if (!jpeg_begin(session, bytes)) broken();
  auto& jpeg = session.jpeg;
  check_size(name, jpeg.image_width, jpeg.image_height, max_pixels);
  const bool inks = jpeg.jpeg_color_space == JCS_CMYK || jpeg.jpeg_color_space == JCS_YCCK;
  DecodedImage& image = session.image;
  image.width = int(jpeg.image_width);
  image.height = int(jpeg.image_height);
  image.channels = jpeg.jpeg_color_space == JCS_GRAYSCALE ? 1 : 3;
  jpeg.out_color_space = inks ? JCS_CMYK : image.channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
  if (inks) session.inks.resize(size_t(image.width) * 4);
  int orientation = 1;
  constexpr std::string_view kExif("Exif\0\0", 6);
  for (auto* marker = jpeg.marker_list; marker != nullptr; marker = marker->next) {
    const std::span<const uint8_t> data(marker->data, marker->data_length);
    if (begins_with(std::as_bytes(data), kExif)) {
      orientation = exif_orientation(data.subspan(kExif.size()));
      break;
    }
  }
  image.pixels.resize(size_t(image.width) * image.height * image.channels);
  if (!jpeg_rows(session)) broken();
  return oriented(std::move(image), orientation);
}

}  // namespace

bool have_image_decoders() {
  return true;
}

DecodedImage decode_image(std::span<const std::byte> bytes, const std::string& name,
                          int64_t max_pixels) {
  if (begins_with(bytes, "\x89PNG\r\n\x1a\n")) return decode_png(bytes, name, max_pixels);
  if (begins_with(bytes, "\xff\xd8\xff")) return decode_jpeg(bytes, name, max_pixels);
  fail(ErrorKind::kFormat, name, ": ", bytes.empty() ? "an empty file" : "neither PNG nor JPEG",
       ", expected an image");
}

#else

bool have_image_decoders() {
  return false;
}

DecodedImage decode_image(std::span<const std::byte>, const std::string& name, int64_t) {
  fail(ErrorKind::kMissing, name, ": this build has no image decoders (KINTSUGI_IMAGES=OFF)");
}

#endif

DecodedImage read_image(const std::filesystem::path& path, int64_t max_pixels) {
  const MappedFile file(path);
  return decode_image(file.bytes(), file.name(), max_pixels);
}

}  // namespace kintsugi::zoo
