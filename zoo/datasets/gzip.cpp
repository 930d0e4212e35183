#include "kintsugi/zoo/datasets/gzip.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>

#include "kintsugi/engine/core/error.h"

namespace kintsugi::zoo {

namespace {

constexpr int kGzipFormat = 15 + 16;   // zlib's window bits: 32 KiB, with gzip's header and trailer
constexpr uint64_t kMostRatio = 1032;  // deflate's best: 258 bytes for 2 bits
constexpr size_t kMostAtOnce = size_t{1} << 30;  // zlib counts in 32 bits

}  // namespace

struct GzipReader::Stream {
  z_stream z{};
  bool ended = false;
  Stream() {
    if (inflateInit2(&z, kGzipFormat) != Z_OK) fail(ErrorKind::kMemory, "gzip: zlib cannot start");
  }
  ~Stream() { inflateEnd(&z); }
};

GzipReader::GzipReader(std::span<const std::byte> bytes, std::string name)
    : bytes_(bytes), name_(std::move(name)) {
  if (bytes.size() >= 2 && bytes[0] == std::byte{0x1f} && bytes[1] == std::byte{0x8b}) {
    stream_ = std::make_unique<Stream>();
  }
}

GzipReader::~GzipReader() = default;

size_t GzipReader::inflate_into(std::span<uint8_t> out) {
  size_t done = 0;
  z_stream& z = stream_->z;
  while (done < out.size() && !stream_->ended) {
    const size_t given = std::min(bytes_.size() - position_, kMostAtOnce);
    const size_t wanted = std::min(out.size() - done, kMostAtOnce);
    z.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(bytes_.data() + position_));
    z.avail_in = static_cast<uInt>(given);
    z.next_out = out.data() + done;
    z.avail_out = static_cast<uInt>(wanted);
    const int result = inflate(&z, Z_NO_FLUSH);
    position_ += given - z.avail_in;
    done += wanted - z.avail_out;
    if (result == Z_STREAM_END) {
      // A gzip file may be several members, one after the other.
      stream_->ended = position_ == bytes_.size();
      if (!stream_->ended) inflateReset(&z);
    } else if (result == Z_BUF_ERROR || (result == Z_OK && given == 0)) {
      fail(ErrorKind::kFormat, name_, ": the gzip data end too early");
    } else if (result != Z_OK) {
      fail(ErrorKind::kFormat, name_, ": broken gzip data (", z.msg ? z.msg : "zlib", ")");
    }
  }
  return done;
}

void GzipReader::read(std::span<uint8_t> out) {
  size_t got = 0;
  if (stream_) {
    got = inflate_into(out);
  } else {
    got = std::min(out.size(), bytes_.size() - position_);
    if (got > 0) std::memcpy(out.data(), bytes_.data() + position_, got);
    position_ += got;
  }
  if (got < out.size()) {
    fail(ErrorKind::kFormat, name_, ": ends too early: got ", got, " bytes, expected ", out.size());
  }
}

void GzipReader::expect_end() {
  uint8_t extra = 0;
  const bool more = stream_ ? inflate_into({&extra, 1}) > 0 : position_ < bytes_.size();
  if (more) fail(ErrorKind::kFormat, name_, ": holds more bytes than its header says");
}

uint64_t GzipReader::most() const {
  return bytes_.size() * (stream_ ? kMostRatio : 1);
}

std::vector<uint8_t> gzip(std::span<const uint8_t> bytes) {
  if (bytes.size() > kMostAtOnce) fail(ErrorKind::kUsage, "gzip: got more than 1 GiB");
  z_stream z{};
  if (deflateInit2(&z, Z_BEST_COMPRESSION, Z_DEFLATED, kGzipFormat, 9, Z_DEFAULT_STRATEGY) !=
      Z_OK) {
    fail(ErrorKind::kMemory, "gzip: zlib cannot start");
  }
  std::vector<uint8_t> out(deflateBound(&z, static_cast<uLong>(bytes.size())));
  z.next_in = const_cast<Bytef*>(bytes.data());
  z.avail_in = static_cast<uInt>(bytes.size());
  z.next_out = out.data();
  z.avail_out = static_cast<uInt>(out.size());
  const int result = deflate(&z, Z_FINISH);
  out.erase(out.end() - z.avail_out, out.end());
  deflateEnd(&z);
  if (result != Z_STREAM_END) fail(ErrorKind::kMemory, "gzip: zlib cannot finish");
  return out;
}

}  // namespace kintsugi::zoo
