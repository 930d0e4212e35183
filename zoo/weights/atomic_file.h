// Files that are either the old one, the new one, or absent: never half of one.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>

namespace kintsugi::zoo {

// Writes to a temporary file in the folder of `path`; commit() flushes it to the disk and renames
// it to `path`. Without a commit (an exception, say) the temporary file is removed and `path` is as
// it was. After a kill the worst that is left is a file named `.<name>.<random>.tmp`. An existing
// file's permissions are kept, and a symbolic link keeps pointing at the file that is replaced.
// Error kIo names the file and the system's reason: a full disk, no folder, no permission.
class AtomicFile {
 public:
  explicit AtomicFile(const std::filesystem::path& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  void commit();  // once, last

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int descriptor_ = -1;
};

void write_file_atomically(const std::filesystem::path& path, std::string_view text);

}  // namespace kintsugi::zoo
