#include "kintsugi/zoo/weights/safetensors.h"

#include <algorithm>
#include <array>
#include <sstream>

#include "kintsugi/engine/core/error.h"
#include "kintsugi/engine/core/printable.h"
#include "kintsugi/zoo/json.h"
#include "kintsugi/zoo/weights/atomic_file.h"
#include "kintsugi/zoo/weights/readers.h"

namespace kintsugi::zoo {

namespace {

constexpr uint64_t kMostHeader = 100'000'000;  // the format's own bound
constexpr size_t kMostDimensions = 32;

std::string text_of(const std::vector<int64_t>& shape) {
  std::ostringstream text;
  for (size_t i = 0; i < shape.size(); ++i) text << (i == 0 ? "" : ",") << shape[i];
  return "(" + text.str() + ")";
}

struct Range {
  uint64_t begin = 0;
  uint64_t end = 0;
  const std::string* name = nullptr;
};

// One entry of the header, checked against the data's size.
StoredTensor read_entry(const std::string& where, const Json& entry,
                        std::span<const std::byte> data, Range& range) {
  const auto broken = [&](const auto&... parts) { fail(ErrorKind::kFormat, where, parts...); };
  if (!entry.is_object() || entry.size() != 3 || !entry.contains("dtype") ||
      !entry.contains("shape") || !entry.contains("data_offsets")) {
    broken("expected an object of dtype, shape and data_offsets");
  }
  StoredTensor tensor;
  const Json& dtype = entry["dtype"];
  if (!dtype.is_string()) broken("expected a dtype's name");
  const auto known = stored_dtype(dtype.get_ref<const std::string&>());
  if (!known) broken("unknown dtype '", printable(dtype.get_ref<const std::string&>()), "'");
  tensor.dtype = *known;

  const Json& shape = entry["shape"];
  if (!shape.is_array() || shape.size() > kMostDimensions) {
    broken("expected a shape of at most ", kMostDimensions, " extents");
  }
  for (const Json& extent : shape) {
    if (!extent.is_number_unsigned() || extent.get<uint64_t>() > uint64_t(INT64_MAX)) {
      broken("expected extents that are whole numbers of 63 bits, got ", printable(extent.dump()));
    }
    tensor.shape.push_back(extent.get<int64_t>());
  }

  const Json& offsets = entry["data_offsets"];
  if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() ||
      !offsets[1].is_number_unsigned()) {
    broken("expected data_offsets [begin, end]");
  }
  range.begin = offsets[0].get<uint64_t>();
  range.end = offsets[1].get<uint64_t>();
  if (range.begin > range.end || range.end > data.size()) {
    broken("data_offsets [", range.begin, ",", range.end, "] lie outside the file's ", data.size(),
           " bytes of data");
  }
  const auto expected = bytes_of(tensor.shape, tensor.dtype);
  if (!expected || *expected != range.end - range.begin) {
    broken(name_of(tensor.dtype), " of shape ", text_of(tensor.shape), " takes ",
           expected ? std::to_string(*expected) : "more than 2^64",
           " bytes, its data_offsets hold ", range.end - range.begin);
  }
  tensor.bytes = data.subspan(range.begin, range.end - range.begin);
  return tensor;
}

// The data must be covered exactly: a byte that belongs to two tensors or to none is a lie.
void check_cover(const std::string& path, std::vector<Range> ranges, uint64_t size) {
  std::sort(ranges.begin(), ranges.end(), [](const Range& a, const Range& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  uint64_t covered = 0;
  for (const Range& range : ranges) {
    if (range.begin < covered) {
      fail(ErrorKind::kFormat, path, ": tensor '", printable(*range.name),
           "' overlaps another in bytes ", range.begin, " to ", covered);
    }
    if (range.begin > covered) {
      fail(ErrorKind::kFormat, path, ": bytes ", covered, " to ", range.begin,
           " of the data belong to no tensor");
    }
    covered = range.end;
  }
  if (covered != size) {
    fail(ErrorKind::kFormat, path, ": the last ", size - covered, " of ", size,
         " bytes of data belong to no tensor");
  }
}

}  // namespace

SafetensorsFile::SafetensorsFile(std::shared_ptr<const MappedFile> file) : file_(std::move(file)) {
  const std::string& name = path();
  const auto bytes = file_->bytes();
  if (bytes.size() < 8) {
    fail(ErrorKind::kFormat, name, ": got a file of ", bytes.size(),
         " bytes, expected a safetensors header");
  }
  uint64_t length = 0;
  for (int i = 8; i-- > 0;) length = length << 8 | uint64_t(bytes[size_t(i)]);
  if (length > bytes.size() - 8) {
    fail(ErrorKind::kFormat, name, ": its safetensors header claims ", length,
         " bytes, the file has ", bytes.size() - 8, " left");
  }
  if (length > kMostHeader) {
    fail(ErrorKind::kFormat, name, ": its safetensors header claims ", length,
         " bytes, expected at most ", kMostHeader);
  }
  const auto data = bytes.subspan(8 + length);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + 8, length);
  if (!text.starts_with('{')) {
    fail(ErrorKind::kFormat, name, ": its safetensors header does not begin with '{'");
  }
  const Json header = parse_json(text, name + ": broken safetensors header", 4);

  std::vector<Range> ranges;
  for (const auto& [key, value] : header.items()) {
    const std::string where = name + ": '" + printable(key) + "': ";
    if (key == "__metadata__") {
      if (!value.is_object()) fail(ErrorKind::kFormat, where, "expected an object of strings");
      for (const auto& [word, meaning] : value.items()) {
        if (!meaning.is_string()) {
          fail(ErrorKind::kFormat, where, "'", printable(word), "' is not a string");
        }
        metadata_[word] = meaning.get<std::string>();
      }
      continue;
    }
    Range range;
    auto [at, fresh] = entries_.emplace(key, read_entry(where, value, data, range));
    range.name = &at->first;
    ranges.push_back(range);
  }
  check_cover(name, std::move(ranges), data.size());
}

std::vector<std::string> SafetensorsFile::names() const {
  std::vector<std::string> names;
  for (const auto& [name, entry] : entries_) names.push_back(name);
  return names;
}

const StoredTensor& SafetensorsFile::entry(const std::string& name) const {
  const auto at = entries_.find(name);
  if (at != entries_.end()) return at->second;
  fail(ErrorKind::kFormat, path(), ": has no tensor '", name, "'", did_you_mean(name, names()));
}

Source open_safetensors(const File& file, const ReadOptions& options) {
  const auto stored = std::make_shared<const SafetensorsFile>(file);
  Source source;
  source.metadata = stored->metadata();
  for (const auto& [name, entry] : stored->entries()) {
    source.tensors[name] = [file, stored, &name = name, &entry = entry,
                            widen = options.widen_halves] {
      const Tensor tensor = to_tensor(file->name() + ": '" + printable(name) + "'", entry, widen);
      file->release(entry.bytes);
      return tensor;
    };
  }
  return source;
}

void write_safetensors(const std::filesystem::path& path,
                       const std::map<std::string, StoredTensor>& tensors,
                       const Metadata& metadata) {
  std::vector<const std::pair<const std::string, StoredTensor>*> order;
  for (const auto& entry : tensors) {
    const auto& [name, tensor] = entry;
    const auto expected = bytes_of(tensor.shape, tensor.dtype);
    if (!expected || *expected != tensor.bytes.size()) {
      fail(ErrorKind::kShape, "write_safetensors: '", name, "': got ", tensor.bytes.size(),
           " bytes for ", name_of(tensor.dtype), " of shape ", text_of(tensor.shape));
    }
    if (name == "__metadata__") {
      fail(ErrorKind::kUsage, "write_safetensors: a tensor may not be called '__metadata__'");
    }
    order.push_back(&entry);
  }
  std::stable_sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    return size_of(a->second.dtype) > size_of(b->second.dtype);
  });

  Json header = Json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  uint64_t offset = 0;
  for (const auto* entry : order) {
    const StoredTensor& tensor = entry->second;
    const uint64_t end = offset + tensor.bytes.size();
    header.push_back({entry->first,
                      {{"dtype", name_of(tensor.dtype)},
                       {"shape", tensor.shape},
                       {"data_offsets", {offset, end}}}});
    offset = end;
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const Json::exception& error) {
    fail(ErrorKind::kUsage, "write_safetensors: a name or a card is not UTF-8");
  }
  text.append((8 - text.size() % 8) % 8, ' ');
  if (text.size() > kMostHeader) {
    fail(ErrorKind::kUsage, "write_safetensors: the header takes ", text.size(),
         " bytes, expected at most ", kMostHeader);
  }

  AtomicFile file(path);
  std::array<std::byte, 8> length{};
  for (size_t i = 0; i < 8; ++i) length[i] = std::byte(uint64_t{text.size()} >> (8 * i));
  file.write(length);
  file.write(text);
  for (const auto* entry : order) file.write(entry->second.bytes);
  file.commit();
}

}  // namespace kintsugi::zoo
