// What a similarity needs of one network, kept in files: the Grams of a batch, or the bases of all
// its positions. A network added to a zoo, or a run that was killed, costs only what is missing.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "kintsugi/zoo/weights/mapped_file.h"

namespace kintsugi::zoo {

class SimilarityCache {
 public:
  // Told of every file that cannot be used and why.
  using Say = std::function<void(const std::string&)>;

  // One position's numbers.
  struct Entry {
    std::span<const double> doubles;
    std::span<const float> floats;
  };
  struct Record {
    std::vector<Entry> entries;
    std::shared_ptr<const MappedFile> file;  // which the spans point into
  };

  // The folder is made where it is missing. kIo where that is impossible.
  SimilarityCache(const std::filesystem::path& folder, Say say);

  // `name` begins the file's name, `key` says all that the content is a function of: a file whose
  // key is another is not used, nor one that was cut short or changed (a checksum tells).
  std::optional<Record> find(const std::string& name, const std::string& key) const;
  // Writes, atomically, and maps what was written. kIo: a full disk, say.
  Record put(const std::string& name, const std::string& key, std::span<const Entry> entries) const;

  std::filesystem::path path_of(const std::string& name, const std::string& key) const;
  // Of a file with entries of so many doubles and floats.
  static size_t file_bytes(size_t key_length, std::span<const std::pair<size_t, size_t>> entries);

 private:
  std::filesystem::path folder_;
  Say say_;
};

}  // namespace kintsugi::zoo
