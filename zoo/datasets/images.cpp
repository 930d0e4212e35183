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

struct PngSession {
  png_structp png = nullptr;
  png_infop info = nullptr;
  std::span<const std::byte> rest;
  std::string message;
  DecodedImage image;
  int passes = 1;
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
  png_set_strip_16(session.png);
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
  png_read_end(session.png, nullptr);
  return true;
}

DecodedImage decode_png(std::span<const std::byte> bytes, const std::string& name,
                        int64_t max_pixels) {
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
  if ((image.channels != 1 && image.channels != 3) || row != width * size_t(image.channels)) {
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
  return std::move(image);
}

struct JpegSession {
  jpeg_decompress_struct jpeg{};
  jpeg_error_mgr errors{};
  jpeg_progress_mgr progress{};
  std::jmp_buf jump;
  char message[JMSG_LENGTH_MAX] = "";
  DecodedImage image;
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
  jpeg_mem_src(&session.jpeg, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  jpeg_read_header(&session.jpeg, TRUE);
  return true;
}

bool jpeg_rows(JpegSession& session) {
  if (setjmp(session.jump)) return false;
  jpeg_start_decompress(&session.jpeg);
  const size_t row = size_t(session.image.width) * session.image.channels;
  while (session.jpeg.output_scanline < session.jpeg.output_height) {
    JSAMPROW at = session.image.pixels.data() + session.jpeg.output_scanline * row;
    jpeg_read_scanlines(&session.jpeg, &at, 1);
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
  if (jpeg.jpeg_color_space == JCS_CMYK || jpeg.jpeg_color_space == JCS_YCCK) {
    fail(ErrorKind::kFormat, name, ": got a CMYK JPEG, expected grey or RGB");
  }
  DecodedImage& image = session.image;
  image.width = int(jpeg.image_width);
  image.height = int(jpeg.image_height);
  image.channels = jpeg.jpeg_color_space == JCS_GRAYSCALE ? 1 : 3;
  jpeg.out_color_space = image.channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
  image.pixels.resize(size_t(image.width) * image.height * image.channels);
  if (!jpeg_rows(session)) broken();
  return std::move(image);
}

bool begins_with(std::span<const std::byte> bytes, std::string_view magic) {
  return bytes.size() >= magic.size() && std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
}

}  // namespace

bool have_image_decoders() { return true; }

DecodedImage decode_image(std::span<const std::byte> bytes, const std::string& name,
                          int64_t max_pixels) {
  if (begins_with(bytes, "\x89PNG\r\n\x1a\n")) return decode_png(bytes, name, max_pixels);
  if (begins_with(bytes, "\xff\xd8\xff")) return decode_jpeg(bytes, name, max_pixels);
  fail(ErrorKind::kFormat, name, ": ", bytes.empty() ? "an empty file" : "neither PNG nor JPEG",
       ", expected an image");
}

#else

bool have_image_decoders() { return false; }

DecodedImage decode_image(std::span<const std::byte>, const std::string& name, int64_t) {
  fail(ErrorKind::kMissing, name, ": this build has no image decoders (KINTSUGI_IMAGES=OFF)");
}

#endif

DecodedImage read_image(const std::filesystem::path& path, int64_t max_pixels) {
  const MappedFile file(path);
  return decode_image(file.bytes(), file.name(), max_pixels);
}

}  // namespace kintsugi::zoo
