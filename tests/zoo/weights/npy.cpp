#include "kintsugi/zoo/weights/npy.h"

#include <cstring>

#include "tests/zoo/weights/files.h"

using namespace kintsugi;
using namespace kintsugi::test;

namespace {

std::string npy(const std::string& dictionary, const std::string& data, int version = 1) {
  std::string out = "\x93NUMPY";
  out += char(version);
  out += '\0';
  for (int i = 0; i < (version == 1 ? 2 : 4); ++i) out += char(dictionary.size() >> (8 * i));
  return out + dictionary + data;
}

template <class T>
std::string raw(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

}  // namespace

TEST_CASE("npy: round trips of every dtype") {
  const Scratch scratch;
  const Tensor base = Tensor::from<float>({2, 3}, {0, 1, 2, 3, 4, 5});
  for (const DType dtype : {DType::kF32, DType::kF64, DType::kF16, DType::kI32, DType::kI64,
                            DType::kU8, DType::kBool}) {
    const Tensor x = base.to(dtype);
    zoo::write_npy(scratch / "x.npy", x);
    const Tensor y = zoo::read_npy(scratch / "x.npy");
    CHECK(y.dtype() == dtype);
    CHECK(y.shape() == x.shape());
    CHECK(std::memcmp(x.raw(), y.raw(), x.bytes()) == 0);
  }
  for (const Shape& shape : {Shape{}, Shape{1}, Shape{0, 4}, Shape{1, 2, 1, 1, 3}}) {
    zoo::write_npy(scratch / "x.npy", Tensor::zeros(shape));
    CHECK(zoo::read_npy(scratch / "x.npy").shape() == shape);
    CHECK((get(scratch / "x.npy").size() - size_t(shape.numel()) * 4) % 64 == 0);
  }
  zoo::write_npy(scratch / "x.npy", base.transpose(0, 1));
  CHECK(zoo::read_npy(scratch / "x.npy").to_vector<float>() ==
        std::vector<float>{0, 3, 1, 4, 2, 5});
  expect_error(ErrorKind::kDtype, "bf16",
               [&] { zoo::write_npy(scratch / "y", base.to(DType::kBF16)); });
}

TEST_CASE("npy: the bytes are NumPy's") {
  // np.save(..., np.array([1, 2], np.int32)) with NumPy 2.4.
  const Scratch scratch;
  zoo::write_npy(scratch / "x.npy", Tensor::from<int32_t>({2}, {1, 2}));
  std::string header = "{'descr': '<i4', 'fortran_order': False, 'shape': (2,), }";
  header.append(117 - header.size(), ' ');
  CHECK(get(scratch / "x.npy") == npy(header + "\n", raw<int32_t>({1, 2})));
}

TEST_CASE("npy: versions, Fortran order, spacing and quotes") {
  const Scratch scratch;
  const std::string data = raw<float>({1, 2, 3, 4, 5, 6});
  for (const int version : {1, 2, 3}) {
    const auto path = put(
        scratch / "x", npy("{\"shape\":(2, 3),'fortran_order':True,'descr':'<f4'}", data, version));
    const Tensor x = zoo::read_npy(path);
    CHECK(x.is_contiguous());
    CHECK(x.to_vector<float>() == std::vector<float>{1, 3, 5, 2, 4, 6});
  }
  const std::string flags("\x00\x01\x07", 3);
  put(scratch / "b", npy("{'descr': '|b1', 'fortran_order': False, 'shape': (3,), }\n", flags));
  CHECK(zoo::read_npy(scratch / "b").to_vector<uint8_t>() == std::vector<uint8_t>{0, 1, 1});
}

TEST_CASE("npy: broken and foreign files") {
  const Scratch scratch;
  const auto refuse = [&](const std::string& bytes, const std::string& phrase) {
    expect_error(ErrorKind::kFormat, phrase, [&] { zoo::read_npy(put(scratch / "x", bytes)); });
  };
  const std::string rest = ", 'fortran_order': False, 'shape': (2,), }";
  const std::string eight(8, '\0');
  refuse("", "not an .npy file");
  refuse("hello, world", "not an .npy file");
  refuse(npy("{'descr': '>f4'" + rest, eight), "big-endian dtype '>f4'");
  refuse(npy("{'descr': '<c8'" + rest, eight), "dtype '<c8'");
  refuse(npy("{'descr': '|O'" + rest, eight), "dtype '|O'");
  refuse(npy("{'descr': [('a', '<f4')]" + rest, eight), "structured dtype");
  refuse(npy("{'descr': '<f4'" + rest, eight + "x"), "got 9 bytes of data");
  refuse(npy("{'descr': '<f4'" + rest, "1234567"), "got 7 bytes of data");
  refuse(
      npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }", eight),
      "more than 64 bits");
  refuse(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-2,), }", eight), "extent");
  refuse(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,2), }", eight),
         "more than 8 dimensions");
  refuse(npy("{'descr': '<f4', 'fortran_order': False}", eight), "no descr");
  refuse(npy("{'descr': '<f4', 'descr': '<f4'" + rest, eight), "doubled key");
  refuse(npy("{'descr': '<f4'" + rest + " x", eight), "text after");
  refuse(npy("{'descr': '<f4'" + rest, eight, 9), "version 9");
  refuse(std::string("\x93NUMPY\x01\0\xff\xff{}", 12), "header of 65535 bytes");
  refuse(std::string("\x93NUMPY\x02\0\xff\xff", 10), "header of");
  const std::string whole = npy("{'descr': '<f4'" + rest, eight);
  for (size_t n = 0; n < whole.size(); ++n) {
    CHECK_THROWS_AS(zoo::read_npy(put(scratch / "x", whole.substr(0, n))), Error);
  }
}
