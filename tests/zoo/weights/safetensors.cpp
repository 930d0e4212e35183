#include "kintsugi/zoo/weights/safetensors.h"

#include <cmath>
#include <cstring>

#include "kintsugi/zoo/weights/checkpoint.h"
#include "tests/zoo/weights/files.h"

using namespace kintsugi;
using namespace kintsugi::test;
using zoo::StoredDType;

namespace {

std::string with_header(const std::string& header, const std::string& data) {
  std::string out;
  for (int i = 0; i < 8; ++i) out += char(uint64_t{header.size()} >> (8 * i));
  return out + header + data;
}

template <class T>
std::span<const std::byte> bytes_of(const std::vector<T>& values) {
  return std::as_bytes(std::span(values));
}

}  // namespace

TEST_CASE("safetensors: every dtype goes out and comes back in its bytes") {
  const Scratch scratch;
  const auto path = scratch / "all.safetensors";
  const std::vector<uint8_t> pattern{1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12,
                                     13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24};
  std::map<std::string, zoo::StoredTensor> tensors;
  for (const char* name : {"F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U64", "U32",
                           "U16", "U8", "BOOL", "F8_E4M3", "F8_E5M2", "F8_E8M0"}) {
    const auto dtype = zoo::stored_dtype(name);
    REQUIRE(dtype);
    CHECK(zoo::name_of(*dtype) == name);
    tensors[name] = {*dtype, {3}, bytes_of(pattern).first(3 * zoo::size_of(*dtype))};
  }
  tensors["scalar"] = {StoredDType::kF32, {}, bytes_of(pattern).first(4)};
  tensors["none"] = {StoredDType::kF32, {4, 0, 2}, {}};
  const zoo::Metadata card{{"format", "pt"}, {"umlaut \"ü\"", "line\nline"}};
  zoo::write_safetensors(path, tensors, card);

  const auto file = zoo::SafetensorsFile::open(path);
  CHECK(file.metadata() == card);
  REQUIRE(file.entries().size() == tensors.size());
  const std::string whole = get(path);
  for (const auto& [name, want] : tensors) {
    const auto& got = file.entry(name);
    CHECK(got.dtype == want.dtype);
    CHECK(got.shape == want.shape);
    REQUIRE(got.bytes.size() == want.bytes.size());
    CHECK(std::equal(got.bytes.begin(), got.bytes.end(), want.bytes.begin()));
    // Aligned in the file: a reader may then use the mapping in place.
    CHECK(reinterpret_cast<uintptr_t>(got.bytes.data()) % zoo::size_of(got.dtype) == 0);
  }
  zoo::write_safetensors(scratch / "again", tensors, card);
  CHECK(get(scratch / "again") == whole);
  expect_error(ErrorKind::kFormat, "did you mean 'scalar'", [&] { file.entry("scaler"); });
}

TEST_CASE("safetensors: a file of the reference implementation") {
  // safetensors.numpy.save({"w": [[1,2],[3,4]] f32, "i": [7] i8}, {"k": "v"}).
  const Scratch scratch;
  const float w[] = {1, 2, 3, 4};
  const std::string header =
      R"({"__metadata__":{"k":"v"},"w":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},)"
      R"("i":{"dtype":"I8","shape":[1],"data_offsets":[16,17]}}   )";
  const auto path =
      put(scratch / "x", with_header(header, std::string((const char*)w, 16) + "\x07"));
  const auto weights = zoo::read_weights(path);
  CHECK(weights.metadata.at("k") == "v");
  CHECK(weights.tensors.at("w").shape() == Shape{2, 2});
  CHECK(weights.tensors.at("w").to_vector<float>() == std::vector<float>{1, 2, 3, 4});
  CHECK(weights.tensors.at("i").dtype() == DType::kI32);
  CHECK(weights.tensors.at("i").to_vector<int32_t>() == std::vector<int32_t>{7});
}

TEST_CASE("safetensors: integers widen, halves become f32, F8 is refused by name") {
  const Scratch scratch;
  const std::vector<int16_t> i16{-5, 300};
  const std::vector<uint32_t> u32{4000000000u};
  const std::vector<uint64_t> u64{uint64_t{1} << 62};
  const std::vector<uint16_t> half{0x3c00, 0xc000}, brain{0x3f80, 0xc000};
  const std::vector<uint8_t> flags{0, 1, 2};
  zoo::write_safetensors(scratch / "x", {{"i16", {StoredDType::kI16, {2}, bytes_of(i16)}},
                                         {"u32", {StoredDType::kU32, {1}, bytes_of(u32)}},
                                         {"u64", {StoredDType::kU64, {1}, bytes_of(u64)}},
                                         {"f16", {StoredDType::kF16, {2}, bytes_of(half)}},
                                         {"bf16", {StoredDType::kBF16, {2}, bytes_of(brain)}},
                                         {"bool", {StoredDType::kBool, {3}, bytes_of(flags)}}});
  auto tensors = zoo::read_weights(scratch / "x").tensors;
  CHECK(tensors["i16"].to_vector<int32_t>() == std::vector<int32_t>{-5, 300});
  CHECK(tensors["u32"].to_vector<int64_t>() == std::vector<int64_t>{4000000000});
  CHECK(tensors["u64"].to_vector<int64_t>() == std::vector<int64_t>{int64_t{1} << 62});
  CHECK(tensors["f16"].dtype() == DType::kF32);
  CHECK(tensors["f16"].to_vector<float>() == std::vector<float>{1, -2});
  CHECK(tensors["bf16"].to_vector<float>() == std::vector<float>{1, -2});
  CHECK(tensors["bool"].data<bool>()[2] == true);
  CHECK(zoo::read_weights(scratch / "x", {.widen_halves = false}).tensors["bf16"].dtype() ==
        DType::kBF16);

  const std::vector<uint64_t> large{~uint64_t{0}};
  zoo::write_safetensors(scratch / "y", {{"u", {StoredDType::kU64, {1}, bytes_of(large)}}});
  expect_error(ErrorKind::kDtype, "'u': got 18446744073709551615",
               [&] { zoo::read_weights(scratch / "y"); });
  zoo::write_safetensors(scratch / "z", {{"w", {StoredDType::kF8E4M3, {3}, bytes_of(flags)}}});
  CHECK(zoo::SafetensorsFile::open(scratch / "z").contains("w"));
  expect_error(ErrorKind::kDtype, "'w': got F8_E4M3", [&] { zoo::read_weights(scratch / "z"); });
}

TEST_CASE("weights: tensors of any strides go out and come back") {
  const Scratch scratch;
  const Tensor base = Tensor::from<float>({2, 3}, {1, 2, 3, 4, 5, 6});
  zoo::Weights out;
  out.tensors["transposed"] = base.transpose(0, 1);
  out.tensors["doubles"] = base.to(DType::kF64);
  out.tensors["scalar"] = Tensor::full({}, 3);
  out.tensors["empty"] = Tensor::empty({0, 5});
  out.metadata["card"] = "{\"a\": 1}";
  zoo::write_weights(scratch / "w", out);
  const auto in = zoo::read_weights(scratch / "w");
  CHECK(in.metadata == out.metadata);
  CHECK(in.tensors.at("transposed").shape() == Shape{3, 2});
  CHECK(in.tensors.at("transposed").to_vector<float>() == std::vector<float>{1, 4, 2, 5, 3, 6});
  CHECK(in.tensors.at("doubles").dtype() == DType::kF64);
  CHECK(in.tensors.at("scalar").item() == 3);
  CHECK(in.tensors.at("empty").shape() == Shape{0, 5});

  out.tensors["meta"] = Tensor::empty({2}, DType::kF32, kMeta);
  expect_error(ErrorKind::kDevice, "'meta'", [&] { zoo::write_weights(scratch / "w", out); });
  CHECK(zoo::read_weights(scratch / "w").tensors.size() == 4);
}

TEST_CASE("weights: NaN and infinity are named with their place") {
  const Scratch scratch;
  zoo::Weights out;
  out.tensors["fine"] = Tensor::zeros({3});
  out.tensors["layer.weight"] = Tensor::from<float>({2, 2}, {0, 1, NAN, 3});
  zoo::write_weights(scratch / "w", out);
  expect_error(ErrorKind::kNumeric, "NaN or infinity in 1 tensor: layer.weight: first at element 2",
               [&] { zoo::read_weights(scratch / "w"); });
  out.tensors["other"] = Tensor::from<double>({1}, {INFINITY});
  zoo::write_weights(scratch / "w", out);
  try {
    zoo::read_weights(scratch / "w");
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.details().size() == 2);
  }
  CHECK(zoo::read_weights(scratch / "w", {.refuse_nonfinite = false}).tensors.size() == 3);
}

TEST_CASE("safetensors: what cannot be written is refused before anything is") {
  const Scratch scratch;
  const std::vector<float> two{1, 2};
  expect_error(ErrorKind::kShape, "'w': got 8 bytes", [&] {
    zoo::write_safetensors(scratch / "x", {{"w", {StoredDType::kF32, {3}, bytes_of(two)}}});
  });
  expect_error(ErrorKind::kUsage, "not UTF-8", [&] {
    zoo::write_safetensors(scratch / "x", {{"\xff", {StoredDType::kF32, {2}, bytes_of(two)}}});
  });
  expect_error(ErrorKind::kUsage, "__metadata__", [&] {
    zoo::write_safetensors(scratch / "x",
                           {{"__metadata__", {StoredDType::kF32, {2}, bytes_of(two)}}});
  });
  CHECK(scratch.count() == 0);
}
