#include "kintsugi/zoo/weights/sha256.h"

#include "tests/zoo/weights/files.h"

using namespace kintsugi;
using namespace kintsugi::test;

namespace {

std::string hash(const std::string& text) {
  return zoo::sha256(std::as_bytes(std::span(text)));
}

}  // namespace

// Vectors of FIPS 180-4 (NIST's examples) and of the lengths where the padding changes.
TEST_CASE("sha256: known vectors") {
  CHECK(hash("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(hash("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(hash("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(hash(std::string(1000000, 'a')) ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("sha256: around the padding's edges") {
  CHECK(hash(std::string(55, 'a')) ==
        "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318");
  CHECK(hash(std::string(56, 'a')) ==
        "b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a");
  CHECK(hash(std::string(64, 'a')) ==
        "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb");
}

TEST_CASE("sha256: a file") {
  const Scratch scratch;
  CHECK(zoo::sha256_of_file(put(scratch / "abc", std::string("abc"))) == hash("abc"));
  CHECK(zoo::sha256_of_file(put(scratch / "empty", std::string())) == hash(""));
  expect_error(ErrorKind::kIo, "cannot read", [&] { zoo::sha256_of_file(scratch / "absent"); });
  expect_error(ErrorKind::kIo, "it is a folder", [&] { zoo::sha256_of_file(scratch.path()); });
}
