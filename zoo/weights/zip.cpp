#include "kintsugi/zoo/weights/zip.h"

#include <zlib.h>

#include <algorithm>
#include <limits>

#include "kintsugi/engine/core/error.h"
#include "kintsugi/engine/core/printable.h"

namespace kintsugi::zoo {

namespace {

constexpr uint64_t kMostRatio = 1032;  // of deflate
constexpr uint64_t kMostMembers = 200'000;
constexpr uint32_t kLocal = 0x04034b50, kCentral = 0x02014b50, kEnd = 0x06054b50;
constexpr uint32_t kEnd64 = 0x06064b50, kLocator64 = 0x07064b50;

// Little-endian numbers at checked places.
class Bytes {
 public:
  Bytes(std::span<const std::byte> bytes, const std::string& name) : bytes_(bytes), name_(name) {}

  uint64_t size() const { return bytes_.size(); }
  uint64_t number(uint64_t at, int count) const {
    const auto taken = span(at, uint64_t(count));
    uint64_t value = 0;
    for (int i = count; i-- > 0;) value = value << 8 | uint64_t(taken[size_t(i)]);
    return value;
  }
  std::span<const std::byte> span(uint64_t at, uint64_t count) const {
    if (at > bytes_.size() || count > bytes_.size() - at) {
      broken("something in its directory lies behind its end");
    }
    return bytes_.subspan(at, count);
  }
  std::string text(uint64_t at, uint64_t count) const {
    const auto taken = span(at, count);
    return {reinterpret_cast<const char*>(taken.data()), taken.size()};
  }
  template <class... Parts>
  [[noreturn]] void broken(const Parts&... parts) const {
    fail(ErrorKind::kFormat, name_, ": broken zip archive: ", parts...);
  }

 private:
  std::span<const std::byte> bytes_;
  const std::string& name_;
};

struct Directory {
  uint64_t members = 0, size = 0, at = 0;
};

// The directory is found from the end of the file, behind a comment of at most 64 KiB.
Directory find_directory(const Bytes& in) {
  if (in.size() < 22) in.broken("it ends too early");
  const uint64_t lowest = in.size() > 22 + 65535 ? in.size() - 22 - 65535 : 0;
  uint64_t end = in.size() - 22;
  while (in.number(end, 4) != kEnd || in.number(end + 20, 2) != in.size() - end - 22) {
    if (end-- == lowest) in.broken("it has no directory (is it cut short?)");
  }
  Directory found{in.number(end + 10, 2), in.number(end + 12, 4), in.number(end + 16, 4)};
  uint64_t disks = in.number(end + 4, 2) | in.number(end + 6, 2);
  const bool is_zip64 = end >= 20 && in.number(end - 20, 4) == kLocator64;
  if (is_zip64) {
    const uint64_t at = in.number(end - 12, 8);
    if (in.number(at, 4) != kEnd64) in.broken("its zip64 directory is not where it should be");
    disks = in.number(at + 16, 4) | in.number(at + 20, 4);
    found = {in.number(at + 32, 8), in.number(at + 40, 8), in.number(at + 48, 8)};
    end = at;
  }
  if (disks != 0) in.broken("it is one of several parts");
  if (found.at > end || found.size > end - found.at) {
    in.broken("its directory of ", found.size, " bytes at ", found.at, " leaves the file");
  }
  if (found.members > kMostMembers || found.members * 46 > found.size) {
    in.broken("a directory of ", found.size, " bytes cannot hold ", found.members, " members");
  }
  return found;
}

struct Header {
  uint64_t size = 0, packed = 0, local = 0;
};

// Numbers that did not fit into 32 bits stand in the extra field, in this order.
void read_zip64(const Bytes& in, uint64_t at, uint64_t length, Header& header) {
  const uint64_t end = at + length;
  while (end - at >= 4) {
    const uint64_t kind = in.number(at, 2), size = in.number(at + 2, 2);
    if (size > end - at - 4) return;  // padding that is no field: Android's tools write it
    if (kind == 1) {
      uint64_t next = at + 4;
      for (uint64_t* value : {&header.size, &header.packed, &header.local}) {
        if (*value != 0xffffffff) continue;
        if (next + 8 > at + 4 + size) in.broken("a zip64 field is too short");
        *value = in.number(next, 8);
        next += 8;
      }
      return;
    }
    at += 4 + size;
  }
}

}  // namespace

ZipFile::ZipFile(std::shared_ptr<const MappedFile> file) : file_(std::move(file)) {
  const Bytes in(file_->bytes(), file_->name());
  const Directory directory = find_directory(in);
  std::vector<std::pair<uint64_t, uint64_t>> ranges;  // of the members, headers included
  uint64_t at = directory.at;
  for (uint64_t i = 0; i < directory.members; ++i) {
    if (at + 46 > directory.at + directory.size || in.number(at, 4) != kCentral) {
      in.broken("entry ", i, " of its directory is none");
    }
    const uint64_t flags = in.number(at + 8, 2), method = in.number(at + 10, 2);
    Header header{in.number(at + 24, 4), in.number(at + 20, 4), in.number(at + 42, 4)};
    const uint64_t name_length = in.number(at + 28, 2), extra_length = in.number(at + 30, 2);
    const uint64_t entry = 46 + name_length + extra_length + in.number(at + 32, 2);
    const std::string name = in.text(at + 46, name_length);
    const std::string shown = "'" + printable(name) + "'";
    read_zip64(in, at + 46 + name_length, extra_length, header);
    if (flags & 1) in.broken(shown, " is encrypted");
    if (method != 0 && method != 8) {
      in.broken(shown, " is packed by method ", method, ", expected 0 (stored) or 8 (deflate)");
    }

    if (in.number(header.local, 4) != kLocal) in.broken(shown, " has no header of its own");
    const uint64_t local_name = in.number(header.local + 26, 2);
    if (in.number(header.local + 8, 2) != method ||
        in.text(header.local + 30, local_name) != name) {
      in.broken(shown, " has another header than the directory says");
    }
    const uint64_t data = header.local + 30 + local_name + in.number(header.local + 28, 2);
    Member member;
    member.packed = in.span(data, header.packed);
    member.size = header.size;
    member.checksum = uint32_t(in.number(at + 16, 4));
    member.deflated = method == 8;
    if (!member.deflated && member.size != header.packed) {
      in.broken(shown, " is stored, yet ", header.packed, " bytes hold ", member.size);
    }
    if (member.deflated && member.size / kMostRatio > header.packed) {
      in.broken(shown, ": ", header.packed, " packed bytes cannot hold ", member.size);
    }
    if (data + header.packed > directory.at) in.broken(shown, " lies in the directory");
    ranges.emplace_back(header.local, data + header.packed);
    if (!name.ends_with('/') && !members_.emplace(name, member).second) {
      in.broken(shown, " stands twice");
    }
    at += entry;
  }
  // Overlapping members are how a small file unpacks to a huge one.
  std::sort(ranges.begin(), ranges.end());
  for (size_t i = 1; i < ranges.size(); ++i) {
    if (ranges[i].first < ranges[i - 1].second) in.broken("two of its members share bytes");
  }
}

std::vector<std::byte> ZipFile::unpack(const std::string& name) const {
  const Member& member = members_.at(name);
  const auto broken = [&](const auto&... parts) {
    fail(ErrorKind::kFormat, file_->name(), ": '", printable(name), "': ", parts...);
  };
  constexpr uint64_t kMostAtOnce = std::numeric_limits<uInt>::max();
  if (member.size > kMostAtOnce || member.packed.size() > kMostAtOnce) {
    broken("got a packed member of more than 4 GiB");
  }
  std::vector<std::byte> out(member.size);
  std::byte none{};  // zlib wants an address even for nothing
  z_stream z{};
  z.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(member.packed.data()));
  z.avail_in = uInt(member.packed.size());
  z.next_out = reinterpret_cast<Bytef*>(out.empty() ? &none : out.data());
  z.avail_out = uInt(out.size());
  if (inflateInit2(&z, -MAX_WBITS) != Z_OK) fail(ErrorKind::kMemory, name, ": zlib cannot start");
  const int result = inflate(&z, Z_FINISH);
  const bool whole = result == Z_STREAM_END && z.avail_out == 0 && z.avail_in == 0;
  inflateEnd(&z);
  if (!whole) broken("broken deflate data, or not the ", member.size, " bytes that it claims");
  const auto* data = reinterpret_cast<const Bytef*>(out.data());
  if (crc32(0, out.empty() ? nullptr : data, uInt(out.size())) != member.checksum) {
    broken("its checksum is wrong");
  }
  return out;
}

}  // namespace kintsugi::zoo
