// Bytes that may be gzipped, read no further than they are asked for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace kintsugi::zoo {

// Inflates on demand where the bytes begin as gzip does (RFC 1952), and otherwise hands them out as
// they are. What is inflated is what the caller's buffer holds, so a bomb has nowhere to go off.
class GzipReader {
 public:
  GzipReader(std::span<const std::byte> bytes, std::string name);
  ~GzipReader();
  GzipReader(const GzipReader&) = delete;
  GzipReader& operator=(const GzipReader&) = delete;

  // Fills `out` to the last byte; Error kFormat where the data are broken or end before.
  void read(std::span<uint8_t> out);
  // Error kFormat unless everything was read; checks the checksum of a gzip file.
  void expect_end();
  // No more than this can come out: a bound to check sizes against before memory is taken.
  uint64_t most() const;

 private:
  struct Stream;
  size_t inflate_into(std::span<uint8_t> out);
  std::span<const std::byte> bytes_;
  std::string name_;
  std::unique_ptr<Stream> stream_;  // none for plain bytes
  size_t position_ = 0;             // of plain bytes
};

// One gzip member, best compression, no time stamp: the same input gives the same bytes.
std::vector<uint8_t> gzip(std::span<const uint8_t> bytes);

}  // namespace kintsugi::zoo
