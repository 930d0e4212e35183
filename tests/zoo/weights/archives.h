// Zip archives of chosen members, whole or with a lie in them.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace kintsugi::test {

inline std::string number(uint64_t value, int bytes) {  // little endian
  std::string out;
  for (int i = 0; i < bytes; ++i) out += char(value >> (8 * i));
  return out;
}

struct ZipMember {
  std::string name;
  std::string packed;           // as it lies in the file
  int64_t size = -1;            // unpacked, as it is claimed; -1: as packed
  int method = 0;               // 8: deflate
  uint32_t checksum = 0;        // of the unpacked bytes
  int64_t offset = -1;          // of its own header, as the directory claims; -1: the truth
  std::string local_name = {};  // in its own header; "": the same
  int flags = 0;
  std::string extra = {};  // in the directory
};

inline std::string deflated(const std::string& text) {
  z_stream z{};
  deflateInit2(&z, 9, Z_DEFLATED, -MAX_WBITS, 9, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&z, uLong(text.size())), '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  z.avail_in = uInt(text.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = uInt(out.size());
  deflate(&z, Z_FINISH);
  out.resize(out.size() - z.avail_out);
  deflateEnd(&z);
  return out;
}

inline uint32_t checksum_of(const std::string& text) {
  return uint32_t(crc32(0, reinterpret_cast<const Bytef*>(text.data()), uInt(text.size())));
}

inline std::string zip_of(const std::vector<ZipMember>& members) {
  std::string out, directory;
  for (const ZipMember& m : members) {
    const uint64_t at = m.offset >= 0 ? uint64_t(m.offset) : out.size();
    const uint64_t size = m.size >= 0 ? uint64_t(m.size) : m.packed.size();
    const std::string& local = m.local_name.empty() ? m.name : m.local_name;
    const auto shared = [&](const std::string& name, size_t extra) {
      return number(20, 2) + number(uint64_t(m.flags), 2) + number(uint64_t(m.method), 2) +
             number(0, 4) + number(m.checksum, 4) + number(m.packed.size(), 4) + number(size, 4) +
             number(name.size(), 2) + number(extra, 2);
    };
    out += "PK\x03\x04" + shared(local, 0) + local + m.packed;
    directory += "PK\x01\x02" + number(20, 2) + shared(m.name, m.extra.size()) + number(0, 6) +
                 number(0, 4) + number(at, 4) + m.name + m.extra;
  }
  const uint64_t at = out.size();
  return out + directory + "PK\x05\x06" + number(0, 4) + number(members.size(), 2) +
         number(members.size(), 2) + number(directory.size(), 4) + number(at, 4) + number(0, 2);
}

}  // namespace kintsugi::test
