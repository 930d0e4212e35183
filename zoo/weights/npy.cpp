#include "kintsugi/zoo/weights/npy.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>
#include <string_view>

#include "kintsugi/engine/core/error.h"
#include "kintsugi/engine/core/printable.h"
#include "kintsugi/zoo/weights/atomic_file.h"
#include "kintsugi/zoo/weights/mapped_file.h"

namespace kintsugi::zoo {

namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kAlignment = 64;  // of the data, as NumPy writes it

struct Descr {
  std::string_view name;
  DType dtype;
};
constexpr Descr kDescrs[] = {{"<f4", DType::kF32}, {"<f8", DType::kF64}, {"<f2", DType::kF16},
                             {"<i4", DType::kI32}, {"<i8", DType::kI64}, {"|u1", DType::kU8},
                             {"|b1", DType::kBool}};

// The header is a Python dictionary of three known keys: strings, True or False, a tuple of
// numbers.
class HeaderParser {
 public:
  HeaderParser(std::string_view text, const std::string& name) : text_(text), name_(name) {}

  void parse() {
    expect('{');
    while (!accept('}')) {
      const std::string_view key = quoted();
      expect(':');
      if (key == "descr" && is_new(1)) {
        descr = descriptor();
      } else if (key == "fortran_order" && is_new(2)) {
        fortran_order = boolean();
      } else if (key == "shape" && is_new(4)) {
        shape = tuple();
      } else {
        broken("an unknown or doubled key");
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    if (at_ != text_.size()) broken("text after the dictionary");
    if (seen_ != 7) broken("no descr, fortran_order or shape");
  }

  DType descr = DType::kF32;
  bool fortran_order = false;
  Shape shape;

 private:
  bool is_new(int key) {
    const bool fresh = (seen_ & key) == 0;
    seen_ |= key;
    return fresh;
  }
  [[noreturn]] void broken(std::string_view what) const {
    fail(ErrorKind::kFormat, name_, ": broken .npy header: ", what);
  }
  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }
  bool accept(char c) {
    skip_space();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) broken(std::string("expected '") + c + "' at byte " + std::to_string(at_));
  }
  std::string_view quoted() {
    skip_space();
    if (at_ >= text_.size() || (text_[at_] != '\'' && text_[at_] != '"')) {
      broken("expected a quoted string");
    }
    const char quote = text_[at_++];
    const size_t end = text_.find(quote, at_);
    if (end == text_.npos) broken("a string without an end");
    const std::string_view value = text_.substr(at_, end - at_);
    at_ = end + 1;
    return value;
  }
  DType descriptor() {
    skip_space();
    if (at_ < text_.size() && text_[at_] == '[') {
      fail(ErrorKind::kFormat, name_, ": got a structured dtype, expected one of numbers");
    }
    const std::string_view got = quoted();
    for (const auto& [name, dtype] : kDescrs) {
      if (got == name) return dtype;
    }
    const bool big = got.starts_with('>');
    fail(ErrorKind::kFormat, name_, ": got ", big ? "big-endian " : "", "dtype '", printable(got),
         "', expected one of '<f4', '<f8', '<f2', '<i4', '<i8', '|u1', '|b1'");
  }
  bool boolean() {
    skip_space();
    for (const auto& [word, value] :
         {std::pair<std::string_view, bool>{"True", true}, {"False", false}}) {
      if (text_.substr(at_).starts_with(word)) {
        at_ += word.size();
        return value;
      }
    }
    broken("expected True or False");
  }
  Shape tuple() {
    Shape extents;
    expect('(');
    while (!accept(')')) {
      skip_space();
      int64_t extent = 0;
      const char* begin = text_.data() + at_;
      const auto [end, code] = std::from_chars(begin, text_.data() + text_.size(), extent);
      if (code != std::errc() || extent < 0) broken("expected an extent");
      at_ += size_t(end - begin);
      if (extents.rank() == kMaxRank) {
        fail(ErrorKind::kFormat, name_, ": got more than ", kMaxRank, " dimensions");
      }
      extents.push_back(extent);
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
    return extents;
  }

  std::string_view text_;
  const std::string& name_;
  size_t at_ = 0;
  int seen_ = 0;  // a bit a key
};

// Bytes of `shape` elements; nothing where the product overflows.
std::optional<uint64_t> bytes_of(const Shape& shape, size_t element) {
  uint64_t bytes = element;
  for (const int64_t extent : shape) {
    if (__builtin_mul_overflow(bytes, uint64_t(extent), &bytes)) return std::nullopt;
  }
  return bytes;
}

}  // namespace

NpyFile NpyFile::open(const std::filesystem::path& path) {
  const auto file = std::make_shared<MappedFile>(path);
  return {file->bytes(), file->name(), file};
}

NpyFile::NpyFile(std::span<const std::byte> bytes, std::string file_name,
                 std::shared_ptr<const void> owner)
    : owner_(std::move(owner)), name_(std::move(file_name)) {
  const std::string& name = name_;
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (!text.starts_with(kMagic) || text.size() < 10) {
    fail(ErrorKind::kFormat, name, ": not an .npy file");
  }
  const int version = static_cast<unsigned char>(text[6]);
  if (version < 1 || version > 3) {
    fail(ErrorKind::kFormat, name, ": got .npy version ", version, ", expected 1, 2 or 3");
  }
  const size_t prefix = version == 1 ? 10 : 12;
  size_t length = 0;
  for (size_t i = prefix; i-- > 8;) {
    length = length << 8 | (i < text.size() ? static_cast<unsigned char>(text[i]) : 0);
  }
  if (text.size() < prefix || length > text.size() - prefix) {
    fail(ErrorKind::kFormat, name, ": got a header of ", length, " bytes in a file of ",
         text.size());
  }
  HeaderParser header(text.substr(prefix, length), name);
  header.parse();
  dtype_ = header.descr;
  shape_ = header.shape;
  fortran_order_ = header.fortran_order;
  bytes_ = bytes.subspan(prefix + length);
  const auto expected = bytes_of(shape_, size_of(dtype_));
  if (!expected || *expected != bytes_.size()) {
    fail(ErrorKind::kFormat, name, ": got ", bytes_.size(), " bytes of data for ", name_of(dtype_),
         " of shape ", shape_, ", expected ",
         expected ? std::to_string(*expected) : "more than 64 bits can count");
  }
}

Tensor NpyFile::tensor() const {
  const bool reverse = fortran_order_ && shape_.rank() > 1;
  Shape stored = shape_;
  if (reverse) std::reverse(stored.begin(), stored.end());
  Tensor out = Tensor::empty(stored, dtype_);
  if (!bytes_.empty()) {
    auto* to = static_cast<std::byte*>(out.raw());
    std::copy(bytes_.begin(), bytes_.end(), to);
    if (dtype_ == DType::kBool) {  // a bool of any other value would be undefined behaviour
      std::replace_if(
          to, to + bytes_.size(), [](std::byte b) { return b != std::byte{0}; }, std::byte{1});
    }
  }
  if (!reverse) return out;
  Dims dims;
  for (int i = shape_.rank(); i-- > 0;) dims.push_back(i);
  return out.permute(dims).contiguous();
}

void write_npy(const std::filesystem::path& path, const Tensor& tensor) {
  if (tensor.dtype() == DType::kBF16) {
    fail(ErrorKind::kDtype, "write_npy: got bf16, which NumPy lacks, expected f32");
  }
  const Tensor dense = tensor.to(kCpu).contiguous();
  std::string header = "{'descr': '";
  for (const auto& [name, dtype] : kDescrs) {
    if (dtype == dense.dtype()) header += name;
  }
  header += "', 'fortran_order': False, 'shape': (";
  for (int i = 0; i < dense.rank(); ++i) {
    header += std::to_string(dense.size(i)) + (i + 1 < dense.rank() ? ", " : "");
  }
  header += dense.rank() == 1 ? ",), }" : "), }";
  header.append(kAlignment - 1 - (10 + header.size()) % kAlignment, ' ');
  header += '\n';  // at most 8 dimensions: far below version 1's 64 KiB

  AtomicFile file(path);
  file.write(kMagic);
  const char rest[] = {1, 0, char(header.size() & 255), char(header.size() >> 8)};
  file.write(std::string_view(rest, sizeof rest));
  file.write(header);
  if (dense.numel() > 0) {
    file.write(std::span(static_cast<const std::byte*>(dense.raw()), dense.bytes()));
  }
  file.commit();
}

}  // namespace kintsugi::zoo
