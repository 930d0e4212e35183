// safetensors, read in place and written atomically.
//
// The format (https://github.com/huggingface/safetensors#format): 8 bytes, the little-endian length
// of the header; the header, a JSON object name -> {"dtype","shape","data_offsets":[begin,end]}
// with an optional "__metadata__" of strings; the tensors' bytes, row major, without gaps or
// overlap.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kintsugi/engine/core/dtype.h"
#include "kintsugi/zoo/weights/mapped_file.h"

namespace kintsugi::zoo {

// Every dtype that a file may hold; what the engine cannot store stays listed and is refused by
// name when a tensor is asked for.
enum class StoredDType : uint8_t {
  kF64,
  kF32,
  kF16,
  kBF16,
  kI64,
  kI32,
  kI16,
  kI8,
  kU64,
  kU32,
  kU16,
  kU8,
  kBool,
  kF8E4M3,
  kF8E5M2,
  kF8E4M3Fnuz,
  kF8E5M2Fnuz,
  kF8E8M0
};

std::string_view name_of(StoredDType dtype);  // as in the file: "F32", "BF16", "F8_E4M3", "BOOL"
size_t size_of(StoredDType dtype);            // bytes of one element
std::optional<StoredDType> stored_dtype(std::string_view name);
StoredDType stored_dtype(DType dtype);

struct StoredTensor {
  StoredDType dtype = StoredDType::kF32;
  std::vector<int64_t> shape;        // empty for a scalar
  std::span<const std::byte> bytes;  // row major, little endian; maybe not aligned to the element
};

using Metadata = std::map<std::string, std::string>;

class SafetensorsFile {
 public:
  // Maps the file and checks all of it but the values: the header's length against the file's, JSON
  // without duplicate names and of bounded depth, known dtypes, shape times size equal to the
  // range, ranges that fill the rest of the file exactly. Error kFormat says what is wrong and
  // where; kIo where the file cannot be read. Nothing is allocated in proportion to what the header
  // claims.
  static SafetensorsFile open(const std::filesystem::path& path);

  const std::string& path() const { return file_.name(); }
  const std::map<std::string, StoredTensor>& entries() const { return entries_; }  // sorted by name
  std::vector<std::string> names() const;
  bool contains(const std::string& name) const { return entries_.count(name) > 0; }
  // Error kFormat with the nearest name where there is none. The bytes live as long as this object.
  const StoredTensor& entry(const std::string& name) const;
  const Metadata& metadata() const { return metadata_; }

 private:
  explicit SafetensorsFile(MappedFile file) : file_(std::move(file)) {}
  MappedFile file_;
  std::map<std::string, StoredTensor> entries_;
  Metadata metadata_;
};

// Writes through AtomicFile. Tensors of larger elements come first and names are sorted within a
// dtype, so that every tensor is aligned; the header is padded with spaces to 8 bytes. The same
// input gives the same bytes. Error kShape where shape and bytes disagree.
void write_safetensors(const std::filesystem::path& path,
                       const std::map<std::string, StoredTensor>& tensors,
                       const Metadata& metadata = {});

}  // namespace kintsugi::zoo
