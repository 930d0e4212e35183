// Zip archives (PKWARE's APPNOTE 6.3.10): stored and deflated members, zip64.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kintsugi/zoo/weights/mapped_file.h"

namespace kintsugi::zoo {

class ZipFile {
 public:
  struct Member {
    std::span<const std::byte> packed;  // in the file
    uint64_t size = 0;                  // unpacked; equal to packed.size() where it is stored
    uint32_t checksum = 0;              // CRC-32 of the unpacked bytes
    bool deflated = false;
  };

  // Checks the whole directory before anything is unpacked: it lies inside the file, every member's
  // own header agrees with it, no two members share a byte or a name, and no member claims more
  // than deflate can pack (1032 to 1). Error kFormat; encrypted and split archives are refused by
  // name.
  explicit ZipFile(std::shared_ptr<const MappedFile> file);

  const std::map<std::string, Member>& members() const { return members_; }  // without folders
  const std::string& name() const { return file_->name(); }

  // The bytes of a deflated member, checksum checked. kFormat where they are broken.
  std::vector<std::byte> unpack(const std::string& name) const;

 private:
  std::shared_ptr<const MappedFile> file_;
  std::map<std::string, Member> members_;
};

}  // namespace kintsugi::zoo
