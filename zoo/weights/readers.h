// The formats behind read_weights. Each opens a file, checks all of it but the values, and says
// which tensors it holds; a tensor's bytes are read when it is made. Not for use elsewhere.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kintsugi/engine/core/tensor.h"
#include "kintsugi/zoo/weights/checkpoint.h"
#include "kintsugi/zoo/weights/mapped_file.h"

namespace kintsugi::zoo {

struct Source {
  // By the names in the file; a dictionary in a dictionary makes names with dots.
  std::map<std::string, std::function<Tensor()>> tensors;
  std::map<std::string, std::string> metadata;
};

using File = std::shared_ptr<const MappedFile>;

Source open_safetensors(const File& file, const ReadOptions& options);
Source open_torch_zip(const File& file, const ReadOptions& options);
Source open_torch_legacy(const File& file, const ReadOptions& options);
Source open_npz(const File& file, const ReadOptions& options);
Source open_npy(const File& file, const ReadOptions& options);
Source open_onnx(const File& file, const ReadOptions& options);
// model.safetensors.index.json and its like: the files it names, each of any of the other formats.
Source open_shards(const File& file, const ReadOptions& options);
bool is_shard_index(std::span<const std::byte> bytes);
// The names of the tensors in each file, which lies beside the index.
std::map<std::string, std::vector<std::string>> shards_of(const MappedFile& index);

// The format's reader, by the first bytes; an Error that names the format where there is none.
Source open_source(const File& file, const ReadOptions& options);

}  // namespace kintsugi::zoo
