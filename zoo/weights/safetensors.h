// safetensors, read in place and written atomically.
//
// The format (https://github.com/huggingface/safetensors#format): 8 bytes, the little-endian length
// of the header; the header, a JSON object name -> {"dtype","shape","data_offsets":[begin,end]}
// with an optional "__metadata__" of strings; the tensors' bytes, row major, without gaps or
// overlap.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kintsugi/zoo/weights/mapped_file.h"
#include "kintsugi/zoo/weights/stored.h"

namespace kintsugi::zoo {

using Metadata = std::map<std::string, std::string>;

class SafetensorsFile {
 public:
  // Maps the file and checks all of it but the values: the header's length against the file's, JSON
  // without duplicate names and of bounded depth, known dtypes, shape times size equal to the
  // range, ranges that fill the rest of the file exactly. Error kFormat says what is wrong and
  // where; kIo where the file cannot be read. Nothing is allocated in proportion to what the header
  // claims.
  explicit SafetensorsFile(std::shared_ptr<const MappedFile> file);
  static SafetensorsFile open(const std::filesystem::path& path) {
    return SafetensorsFile(std::make_shared<MappedFile>(path));
  }

  const std::string& path() const { return file_->name(); }
  const std::map<std::string, StoredTensor>& entries() const { return entries_; }  // sorted by name
  std::vector<std::string> names() const;
  bool contains(const std::string& name) const { return entries_.count(name) > 0; }
  // Error kFormat with the nearest name where there is none. The bytes live as long as this object.
  const StoredTensor& entry(const std::string& name) const;
  const Metadata& metadata() const { return metadata_; }

 private:
  std::shared_ptr<const MappedFile> file_;
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
