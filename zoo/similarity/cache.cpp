#include "kintsugi/zoo/similarity/cache.h"

#include <bit>
#include <cctype>
#include <cstring>

#include "kintsugi/engine/core/error.h"
#include "kintsugi/zoo/weights/atomic_file.h"
#include "kintsugi/zoo/weights/sha256.h"

namespace kintsugi::zoo {

namespace fs = std::filesystem;

namespace {

// The file: Header, the key, a table of two counts an entry, the entries (doubles, then floats),
// the checksum of all before it. Every part is filled up to 8 bytes.
struct Header {
  char magic[8] = {'k', 'n', 't', 's', 'i', 'm', '0', '1'};
  uint64_t bytes = 0;  // of the whole file
  uint64_t key_length = 0;
  uint64_t entries = 0;
};
struct Counts {
  uint64_t doubles = 0, floats = 0;
};

constexpr size_t kWord = 8;
size_t padded(size_t bytes) {
  return (bytes + kWord - 1) / kWord * kWord;
}

// Tells accidents, not malice; as fast as memory.
class Checksum {
 public:
  // Whole words; the last one filled up with zeros.
  void add(std::span<const std::byte> bytes) {
    size_t i = 0;
    for (; i + kWord <= bytes.size(); i += kWord) absorb(bytes.data() + i, kWord);
    if (i < bytes.size()) absorb(bytes.data() + i, bytes.size() - i);
  }
  uint64_t value() const { return state_; }

 private:
  void absorb(const std::byte* from, size_t count) {
    uint64_t word = 0;
    std::memcpy(&word, from, count);
    state_ = std::rotl(state_ ^ word, 29) * 0x9e3779b97f4a7c15;
  }
  uint64_t state_ = 0x6b696e7473756769;
};

}  // namespace

SimilarityCache::SimilarityCache(const fs::path& folder, Say say)
    : folder_(folder), say_(std::move(say)) {
  std::error_code error;
  fs::create_directories(folder_, error);
  if (!fs::is_directory(folder_)) {
    fail(ErrorKind::kIo, folder_.string(), ": cannot make this folder for the cache",
         error ? ": " + error.message() : "");
  }
}

fs::path SimilarityCache::path_of(const std::string& name, const std::string& key) const {
  std::string safe;
  for (const char c : name.substr(0, 100)) {
    safe +=
        std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-' || c == '.' ? c : '_';
  }
  return folder_ / (safe + "-" + sha256(std::as_bytes(std::span(key))).substr(0, 20) + ".sim");
}

size_t SimilarityCache::file_bytes(size_t key_length,
                                   std::span<const std::pair<size_t, size_t>> entries) {
  size_t bytes = sizeof(Header) + padded(key_length) + entries.size() * sizeof(Counts) + kWord;
  for (const auto& [doubles, floats] : entries) {
    bytes += doubles * sizeof(double) + padded(floats * sizeof(float));
  }
  return bytes;
}

std::optional<SimilarityCache::Record> SimilarityCache::find(const std::string& name,
                                                             const std::string& key) const {
  const fs::path path = path_of(name, key);
  std::error_code error;
  if (!fs::exists(path, error)) return std::nullopt;
  const auto refuse = [&](const char* why) {
    if (say_) say_(path.string() + ": " + why + "; made anew");
    return std::nullopt;
  };
  Record record;
  record.file = std::make_shared<MappedFile>(path);
  const std::span<const std::byte> bytes = record.file->bytes();
  Header header;
  const Header ours;
  if (bytes.size() < sizeof header + kWord) return refuse("cut short");
  std::memcpy(&header, bytes.data(), sizeof header);
  if (std::memcmp(header.magic, ours.magic, sizeof ours.magic) != 0)
    return refuse("not a cache file");
  if (header.bytes != bytes.size()) return refuse("cut short");
  uint64_t sum = 0;
  std::memcpy(&sum, bytes.data() + bytes.size() - kWord, kWord);
  Checksum checksum;
  checksum.add(bytes.first(bytes.size() - kWord));
  if (checksum.value() != sum) return refuse("damaged: its checksum is another");
  // Whole and as it was written: what follows is as put() laid it out.
  size_t at = sizeof header;
  if (header.key_length != key.size() ||
      std::memcmp(bytes.data() + at, key.data(), key.size()) != 0) {
    return refuse("made for something else");
  }
  at += padded(key.size());
  std::vector<Counts> counts(header.entries);
  std::memcpy(counts.data(), bytes.data() + at, counts.size() * sizeof(Counts));
  at += counts.size() * sizeof(Counts);
  for (const Counts& count : counts) {
    const auto* const doubles = reinterpret_cast<const double*>(bytes.data() + at);
    at += count.doubles * sizeof(double);
    const auto* const floats = reinterpret_cast<const float*>(bytes.data() + at);
    at += padded(count.floats * sizeof(float));
    record.entries.push_back({{doubles, count.doubles}, {floats, count.floats}});
  }
  return record;
}

SimilarityCache::Record SimilarityCache::put(const std::string& name, const std::string& key,
                                             std::span<const Entry> entries) const {
  std::vector<Counts> counts;
  std::vector<std::pair<size_t, size_t>> sizes;
  for (const Entry& entry : entries) {
    counts.push_back({entry.doubles.size(), entry.floats.size()});
    sizes.push_back({entry.doubles.size(), entry.floats.size()});
  }
  Header header;
  header.bytes = file_bytes(key.size(), sizes);
  header.key_length = key.size();
  header.entries = entries.size();
  AtomicFile out(path_of(name, key));
  Checksum checksum;
  const auto write = [&](std::span<const std::byte> bytes) {
    static constexpr std::byte kZeros[kWord] = {};
    checksum.add(bytes);
    out.write(bytes);
    out.write({kZeros, padded(bytes.size()) - bytes.size()});
  };
  write(std::as_bytes(std::span(&header, 1)));
  write(std::as_bytes(std::span(key)));
  write(std::as_bytes(std::span(counts)));
  for (const Entry& entry : entries) {
    write(std::as_bytes(entry.doubles));
    write(std::as_bytes(entry.floats));
  }
  const uint64_t sum = checksum.value();
  out.write(std::as_bytes(std::span(&sum, 1)));
  out.commit();
  std::optional<Record> record = find(name, key);
  if (!record)
    fail(ErrorKind::kIo, path_of(name, key).string(), ": what was written cannot be read");
  return *record;
}

}  // namespace kintsugi::zoo
