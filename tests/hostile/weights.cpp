// Files that lie: each must be a one-line Error, and none may crash, hang or take memory for what
// it only claims to hold.
#include "kintsugi/zoo/weights/checkpoint.h"
#include "kintsugi/zoo/weights/safetensors.h"
#include "tests/zoo/weights/archives.h"
#include "tests/zoo/weights/files.h"

using namespace kintsugi;
using namespace kintsugi::test;

namespace {

std::string length_of(uint64_t n) {
  std::string out;
  for (int i = 0; i < 8; ++i) out += char(n >> (8 * i));
  return out;
}

std::string with_header(const std::string& header, const std::string& data) {
  return length_of(header.size()) + header + data;
}

struct Refusal {
  Scratch scratch;
  void operator()(const std::string& bytes, const std::string& phrase) const {
    const auto path = put(scratch / "x.safetensors", bytes);
    expect_error(ErrorKind::kFormat, phrase, [&] { zoo::SafetensorsFile::open(path); });
  }
  // One tensor entry over 16 bytes of data.
  void entry(const std::string& entry, const std::string& phrase) const {
    (*this)(with_header("{\"w\":" + entry + "}", std::string(16, 'd')), phrase);
  }
};

std::string small_file() {
  return with_header(R"({"__metadata__":{"k":"v"},"a":{"dtype":"F32","shape":[2],)"
                     R"("data_offsets":[0,8]},"b":{"dtype":"U8","shape":[2,4],)"
                     R"("data_offsets":[8,16]}})",
                     std::string(16, '\0'));
}

}  // namespace

TEST_CASE("hostile safetensors: cut at every byte") {
  const Scratch scratch;
  const std::string whole = small_file();
  CHECK(zoo::SafetensorsFile::open(put(scratch / "x", whole)).entries().size() == 2);
  for (size_t n = 0; n < whole.size(); ++n) {
    const auto path = put(scratch / "x", whole.substr(0, n));
    expect_error(ErrorKind::kFormat, "x: ", [&] { zoo::SafetensorsFile::open(path); });
    expect_error(ErrorKind::kFormat, "x: ", [&] { zoo::read_weights(path); });
  }
  Refusal()(whole + '\0', "the last 1 of 17 bytes of data belong to no tensor");
}

TEST_CASE("hostile safetensors: every byte of the header changed") {
  // Whatever the change: an Error or a file that checks out, never a crash (the sanitizers watch).
  const Scratch scratch;
  const std::string whole = small_file();
  int refused = 0;
  for (size_t at = 0; at < whole.size() - 16; ++at) {
    for (const char c : {'\0', '"', '{', '}', '[', ',', '9', '-', '\xff'}) {
      std::string changed = whole;
      changed[at] = c;
      const auto path = put(scratch / "x", changed);
      try {
        const auto file = zoo::SafetensorsFile::open(path);
        for (const auto& [name, entry] : file.entries()) CHECK(entry.bytes.size() <= 16);
      } catch (const Error&) {
        ++refused;
      }
    }
  }
  CHECK(refused > 500);
}

TEST_CASE("hostile safetensors: header lengths") {
  const Refusal refuse;
  refuse(length_of(2'000'000'000) + "{}", "claims 2000000000 bytes, the file has 2 left");
  refuse(length_of(~uint64_t{0}) + "{}", "claims 18446744073709551615 bytes");
  refuse(length_of(~uint64_t{0} - 7) + "{}", "the file has 2 left");
  refuse(length_of(0), "does not begin with '{'");
  refuse(length_of(2) + "[]", "does not begin with '{'");
  refuse(length_of(3) + "{}x", "not JSON at byte");
  // A sparse file of 3 GB that claims a header of 2 GB takes no memory for it.
  const auto path = put(refuse.scratch / "huge", length_of(2'000'000'000) + "{");
  std::filesystem::resize_file(path, 3'000'000'000);
  expect_error(ErrorKind::kFormat, "expected at most 100000000",
               [&] { zoo::SafetensorsFile::open(path); });
}

TEST_CASE("hostile safetensors: ranges") {
  const Refusal refuse;
  const std::string data(16, 'd');
  const auto two = [](const std::string& a, const std::string& b) {
    return R"({"a":{"dtype":"U8","shape":[8],"data_offsets":)" + a +
           R"(},"b":{"dtype":"U8","shape":[8],"data_offsets":)" + b + "}}";
  };
  refuse(with_header(two("[0,8]", "[4,12]"), data), "'b' overlaps another in bytes 4 to 8");
  refuse(with_header(two("[0,8]", "[0,8]"), data), "overlaps");
  refuse(with_header(two("[0,8]", "[16,24]"), data + "12345678"),
         "bytes 8 to 16 of the data belong to no tensor");
  refuse(with_header(two("[0,8]", "[8,16]"), data + "1"), "the last 1 of 17 bytes");
  refuse(with_header("{}", data), "the last 16 of 16 bytes");
  refuse.entry(R"({"dtype":"U8","shape":[16],"data_offsets":[0,17]})", "outside the file's 16");
  refuse.entry(R"({"dtype":"U8","shape":[8],"data_offsets":[8,0]})", "outside");
  refuse.entry(R"({"dtype":"U8","shape":[16],"data_offsets":[-16,0]})", "[begin, end]");
  refuse.entry(R"({"dtype":"U8","shape":[16],"data_offsets":[0,16.0]})", "[begin, end]");
  refuse.entry(R"({"dtype":"U8","shape":[16],"data_offsets":[0,1e99]})", "[begin, end]");
  refuse.entry(R"({"dtype":"U8","shape":[16],"data_offsets":[0,36893488147419103232]})",
               "[begin, end]");
  refuse.entry(R"({"dtype":"U8","shape":[16],"data_offsets":[0,18446744073709551615]})", "outside");
}

TEST_CASE("hostile safetensors: shapes and dtypes") {
  const Refusal refuse;
  refuse.entry(R"({"dtype":"F32","shape":[16],"data_offsets":[0,16]})",
               "F32 of shape (16) takes 64 bytes, its data_offsets hold 16");
  // 2^32 * 2^32 * 4 wraps to 0, 2^62 * 4 + 16 does to 16.
  refuse.entry(R"({"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]})",
               "more than 2^64");
  refuse.entry(R"({"dtype":"F32","shape":[4611686018427387908],"data_offsets":[0,16]})",
               "more than 2^64");
  refuse.entry(R"({"dtype":"U8","shape":[-16],"data_offsets":[0,16]})", "extents");
  refuse.entry(R"({"dtype":"U8","shape":[-4,-4],"data_offsets":[0,16]})", "extents");
  refuse.entry(R"({"dtype":"U8","shape":[1.6e1],"data_offsets":[0,16]})", "extents");
  refuse.entry(R"({"dtype":"U8","shape":["16"],"data_offsets":[0,16]})", "extents");
  refuse.entry(R"({"dtype":"U8","shape":16,"data_offsets":[0,16]})", "a shape");
  refuse.entry(R"({"dtype":"F4","shape":[16],"data_offsets":[0,16]})", "unknown dtype 'F4'");
  refuse.entry(R"({"dtype":"a\nb\u001b[31m","shape":[16],"data_offsets":[0,16]})", "unknown dtype");
  refuse.entry(R"({"dtype":1,"shape":[16],"data_offsets":[0,16]})", "a dtype's name");
  refuse.entry(R"({"shape":[16],"data_offsets":[0,16]})", "expected an object of");
  refuse.entry("[]", "expected an object of");
  std::string ones = "1";
  for (int i = 0; i < 40; ++i) ones += ",1";
  refuse.entry(R"({"dtype":"U8","shape":[)" + ones + R"(],"data_offsets":[0,1]})", "at most 32");
}

TEST_CASE("hostile safetensors: more dimensions than the engine has") {
  const Scratch scratch;
  const auto path =
      put(scratch / "x", with_header(R"({"w":{"dtype":"U8","shape":[1,1,1,1,1,1,1,1,1],)"
                                     R"("data_offsets":[0,1]}})",
                                     "d"));
  CHECK(zoo::SafetensorsFile::open(path).entry("w").shape.size() == 9);
  expect_error(ErrorKind::kFormat, "'w': got 9 dimensions, expected at most 8",
               [&] { zoo::read_weights(path); });
}

TEST_CASE("hostile safetensors: JSON") {
  const Refusal refuse;
  const std::string a = R"("a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  refuse(with_header("{" + a + "," + a + "}", ""), "the name 'a' stands twice");
  refuse.entry(R"({"dtype":"U8","dtype":"U8","shape":[16],"data_offsets":[0,16]})",
               "the name 'dtype' stands twice");
  refuse(with_header(R"({"__metadata__":{"k":"1","k":"2"}})", ""), "the name 'k' stands twice");
  refuse(with_header(R"({"__metadata__":{"k":1}})", ""), "'k' is not a string");
  refuse(with_header(R"({"__metadata__":"k"})", ""), "an object of strings");
  refuse(with_header("{\"a\":" + std::string(1'000'000, '['), ""), "nested deeper");
  std::string objects;
  for (int i = 0; i < 200'000; ++i) objects += "{\"a\":";
  refuse(with_header(objects, ""), "nested deeper");
  refuse(with_header("{\"\xff\xfe\":1}", ""), "not JSON");
  refuse(with_header(std::string("{\0}", 3), ""), "not JSON");
  refuse(with_header("{\"a\":1", ""), "not JSON");
  // A name of a megabyte does not make an error of a megabyte.
  try {
    zoo::SafetensorsFile::open(
        put(refuse.scratch / "x", with_header("{\"" + std::string(1'000'000, 'n') + "\":1}", "")));
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(std::string(error.what()).size() < 1000);
  }
}

TEST_CASE("hostile weights: other formats by name, and things that are no files") {
  const Scratch scratch;
  const auto refuse = [&](const std::string& bytes, const std::string& phrase) {
    expect_error(ErrorKind::kFormat, phrase,
                 [&] { zoo::read_weights(put(scratch / "x.safetensors", bytes)); });
  };
  refuse(zip_of({{"word/document.xml", "<xml/>"}}), "a zip archive of no tensors");
  refuse(zip_of({{"config.json", "{}"}, {"model.weights.h5", "\x89HDF"}}), "a Keras archive");
  refuse("\x93NUMPY", "not an .npy file");
  refuse("\x89HDF\r\n\x1a\n and more", "an HDF5 file, expected safetensors");
  refuse("GGUF\x03", "a GGUF file");
  refuse(std::string("\x1c\0\0\0TFL3", 8), "a TensorFlow Lite model");
  refuse(std::string(257, 'x') + "ustar", "a tar archive");
  refuse("\x1f\x8b\x08", "a gzip file");
  refuse("<!DOCTYPE html>", "a web page");
  refuse("version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer");
  refuse("", "got a file of 0 bytes");
  expect_error(ErrorKind::kIo, "it is a folder", [&] { zoo::read_weights(scratch.path()); });
  expect_error(ErrorKind::kIo, "No such file", [&] { zoo::read_weights(scratch / "absent"); });
  expect_error(ErrorKind::kIo, "not a regular file", [&] { zoo::read_weights("/dev/null"); });
}
