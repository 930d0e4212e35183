// A file's bytes without a copy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace kintsugi::zoo {

// A read-only mapping of a whole regular file. Error kIo where there is none, it is a folder, or it
// may not be read. A file that somebody shortens while it is mapped kills the process (SIGBUS), as
// with every mapping; our own writers replace files by renaming, which leaves a mapping whole.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  std::span<const uint8_t> octets() const {
    return {reinterpret_cast<const uint8_t*>(data_), size_};
  }
  const std::string& name() const { return name_; }  // the path, for messages

  // Lets the system take the pages of a part that was read; they come back from the file when they
  // are read again. So a large file does not stay in memory beside the copies made of it.
  void release(std::span<const std::byte> part) const;

 private:
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  std::string name_;
};

}  // namespace kintsugi::zoo
