#include "kintsugi/zoo/weights/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <random>
#include <sstream>

#include "kintsugi/engine/core/error.h"

namespace kintsugi::zoo {

namespace {

[[noreturn]] void fail_io(const std::filesystem::path& path, std::string_view what, int code) {
  fail(ErrorKind::kIo, path.string(), ": ", what, ": ", std::strerror(code));
}

std::filesystem::path folder_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

}  // namespace

AtomicFile::AtomicFile(const std::filesystem::path& path) : path_(path) {
  if (!path.has_filename()) fail(ErrorKind::kIo, "'", path.string(), "': expected a file name");
  struct stat existing {};
  const bool exists = ::stat(path.c_str(), &existing) == 0;
  if (exists && S_ISDIR(existing.st_mode)) {
    fail(ErrorKind::kIo, path.string(), ": cannot write: it is a folder, expected a file name");
  }
  // A device or a pipe (/dev/stdout) is written to; renaming a file over it would destroy it.
  if (exists && !S_ISREG(existing.st_mode)) {
    descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CLOEXEC);
    if (descriptor_ < 0) fail_io(path_, "cannot write", errno);
    return;
  }
  std::error_code error;
  if (std::filesystem::is_symlink(path, error)) {
    const auto target = std::filesystem::weakly_canonical(path, error);
    if (!error) path_ = target;
  }
  // open(), not mkstemp(): the mode that a plain open gives, by the process's umask.
  std::random_device random;
  for (int attempt = 0;; ++attempt) {
    std::ostringstream name;
    name << '.' << path_.filename().string() << '.' << random() << ".tmp";
    temporary_ = folder_of(path_) / name.str();
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor_ >= 0) break;
    if (errno != EEXIST || attempt == 100) {
      const int code = errno;
      temporary_.clear();
      fail_io(path_, "cannot write", code);
    }
  }
  if (exists) ::fchmod(descriptor_, existing.st_mode & 0777);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  constexpr size_t kMost = size_t{1} << 30;  // Linux writes at most 2 GiB a call
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), std::min(bytes.size(), kMost));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_io(path_, "cannot write", errno);
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
}

void AtomicFile::commit() {
  if (!temporary_.empty() && ::fsync(descriptor_) != 0) fail_io(path_, "cannot write", errno);
  const int descriptor = descriptor_;
  descriptor_ = -1;
  if (::close(descriptor) != 0) fail_io(path_, "cannot write", errno);
  if (temporary_.empty()) return;
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail_io(path_, "cannot rename to", errno);
  temporary_.clear();

  // The rename itself must reach the disk. Some file systems refuse to sync a folder; the file is
  // whole all the same.
  const int folder = ::open(folder_of(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return;
  const int synced = ::fsync(folder);
  const int code = errno;
  ::close(folder);
  if (synced != 0 && code == EIO) fail_io(path_, "cannot flush its folder", code);
}

void write_file_atomically(const std::filesystem::path& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

}  // namespace kintsugi::zoo
