// Checkpoints in several files: an index, {"weight_map": {tensor: file}}, beside them
// (https://huggingface.co/docs/transformers/big_models#sharded-checkpoints).
#include <set>

#include "kintsugi/engine/core/printable.h"
#include "kintsugi/zoo/json.h"
#include "kintsugi/zoo/weights/readers.h"

namespace kintsugi::zoo {

Source open_shards(const File& file, const ReadOptions& options) {
  const std::string& where = file->name();
  std::map<std::string, std::set<std::string>> wanted;  // by shard
  for (const auto& [shard, names] : shards_of(*file)) wanted[shard] = {names.begin(), names.end()};
  Source all;
  for (auto& [shard, names] : wanted) {
    const auto path = std::filesystem::path(where).parent_path() / shard;
    const auto part_file = std::make_shared<const MappedFile>(path);
    if (is_shard_index(part_file->bytes())) {
      fail(ErrorKind::kFormat, where, ": its shard '", shard, "' is an index itself");
    }
    Source part = open_source(part_file, options);
    for (auto& [name, make] : part.tensors) {
      if (names.erase(name) == 0) {
        fail(ErrorKind::kFormat, where, ": '", printable(name), "' lies in ", shard,
             ", where the index does not have it");
      }
      all.tensors.emplace(name, std::move(make));
    }
    if (!names.empty()) {
      fail(ErrorKind::kFormat, where, ": ", shard, " lacks ", names.size(),
           " tensors of the index, '", printable(*names.begin()), "' first");
    }
    all.metadata.merge(part.metadata);
  }
  return all;
}

std::map<std::string, std::vector<std::string>> shards_of(const MappedFile& file) {
  const auto bytes = file.bytes();
  const std::string& where = file.name();
  const Json json = parse_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, where);
  const Json& map = field(json, "weight_map", where);
  if (!map.is_object()) fail(ErrorKind::kFormat, where, ": weight_map is no object");
  std::map<std::string, std::vector<std::string>> shards;
  for (const auto& [name, value] : map.items()) {
    const std::string shard = value.is_string() ? value.get<std::string>() : "";
    // A plain name: an index may not point anywhere else on the machine.
    if (shard.empty() || shard.find_first_of(std::string_view("/\\\0", 3)) != shard.npos ||
        shard == "." || shard == ".." || printable(shard) != shard) {
      fail(ErrorKind::kFormat, where, ": '", printable(name), "' lies in '", printable(shard),
           "', expected a file beside the index");
    }
    shards[shard].push_back(name);
  }
  if (shards.empty()) fail(ErrorKind::kFormat, where, ": weight_map is empty");
  return shards;
}

bool is_shard_index(std::span<const std::byte> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const size_t at = text.substr(0, 64).find_first_not_of(" \t\r\n");
  return at != text.npos && text[at] == '{' && text.find("\"weight_map\"") != text.npos;
}

}  // namespace kintsugi::zoo
