// Scratch folders, files of chosen bytes, and expected errors.
#pragma once

#include <doctest/doctest.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "kintsugi/engine/core/error.h"

namespace kintsugi::test {

// A new folder, gone at the end of the scope.
class Scratch {
 public:
  Scratch() {
    static std::atomic<int> next{0};
    path_ = std::filesystem::temp_directory_path() /
            ("kintsugi-" + std::to_string(::getpid()) + "-" + std::to_string(next++));
    std::filesystem::create_directories(path_);
  }
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  size_t count() const {  // of entries, hidden ones too
    const std::filesystem::directory_iterator entries(path_);
    return size_t(std::distance(begin(entries), end(entries)));
  }

 private:
  std::filesystem::path path_;
};

template <class Bytes>
std::filesystem::path put(const std::filesystem::path& path, const Bytes& bytes) {
  std::filesystem::create_directories(path.parent_path());
  // ext4 flushes a file that is truncated and rewritten, 5 ms each; a new one it does not.
  if (!std::filesystem::is_directory(path)) std::filesystem::remove(path);
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()), std::streamsize(bytes.size()));
  REQUIRE(file.good());
  return path;
}

inline std::string get(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  REQUIRE(file.good());
  return {std::istreambuf_iterator<char>(file), {}};
}

// The call throws an Error of the kind, one line, that holds the phrase.
template <class Call>
void expect_error(ErrorKind kind, const std::string& phrase, const Call& call) {
  try {
    call();
    FAIL_CHECK("no error; expected: " << phrase);
  } catch (const Error& error) {
    const std::string text = error.what();
    CHECK_MESSAGE(error.kind() == kind, text);
    CHECK_MESSAGE(text.find(phrase) != std::string::npos, text);
    CHECK_MESSAGE(text.find('\n') == std::string::npos, text);
  }
}

}  // namespace kintsugi::test
