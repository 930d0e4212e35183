#include "kintsugi/zoo/weights/atomic_file.h"

#include <sys/resource.h>

#include <csignal>

#include "tests/zoo/weights/files.h"

using namespace kintsugi;
using namespace kintsugi::test;
namespace fs = std::filesystem;

TEST_CASE("atomic file: writes and replaces") {
  const Scratch scratch;
  const auto path = scratch / "a.json";
  zoo::write_file_atomically(path, "first");
  CHECK(get(path) == "first");
  fs::permissions(path, fs::perms::owner_read | fs::perms::owner_write);
  zoo::write_file_atomically(path, "second");
  CHECK(get(path) == "second");
  CHECK(fs::status(path).permissions() == (fs::perms::owner_read | fs::perms::owner_write));
  CHECK(scratch.count() == 1);
}

TEST_CASE("atomic file: without a commit nothing changes and nothing is left") {
  const Scratch scratch;
  const auto path = scratch / "a";
  put(path, std::string("old"));
  {
    zoo::AtomicFile file(path);
    file.write("half of the ne");
    CHECK(scratch.count() == 2);
  }
  CHECK(get(path) == "old");
  CHECK(scratch.count() == 1);
}

TEST_CASE("atomic file: a symbolic link goes on pointing") {
  const Scratch scratch;
  put(scratch / "target", std::string("old"));
  fs::create_symlink("target", scratch / "link");
  zoo::write_file_atomically(scratch / "link", "new");
  CHECK(fs::is_symlink(scratch / "link"));
  CHECK(get(scratch / "target") == "new");
}

TEST_CASE("atomic file: a device is written to, not replaced") {
  zoo::write_file_atomically("/dev/null", "x");
  CHECK(fs::is_character_file("/dev/null"));
  // The device that is always full.
  expect_error(ErrorKind::kIo, "No space left on device",
               [] { zoo::write_file_atomically("/dev/full", "x"); });
}

TEST_CASE("atomic file: a full disk leaves the old file") {
  const Scratch scratch;
  const auto path = scratch / "a";
  put(path, std::string("old"));
  // A bound on file sizes fails a write as a full disk does, in the middle of the data.
  struct rlimit before {};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  struct rlimit low = before;
  low.rlim_cur = 4096;
  ::setrlimit(RLIMIT_FSIZE, &low);
  expect_error(ErrorKind::kIo, "cannot write: File too large",
               [&] { zoo::write_file_atomically(path, std::string(100000, 'x')); });
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  CHECK(get(path) == "old");
  CHECK(scratch.count() == 1);
}

TEST_CASE("atomic file: names that cannot be written") {
  const Scratch scratch;
  expect_error(ErrorKind::kIo, "it is a folder", [&] { zoo::AtomicFile file(scratch.path()); });
  expect_error(ErrorKind::kIo, "No such file or directory",
               [&] { zoo::AtomicFile file(scratch / "no/such/folder"); });
  expect_error(ErrorKind::kIo, "expected a file name", [&] { zoo::AtomicFile file(""); });
}
