#include "kintsugi/zoo/weights/checkpoint.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "kintsugi/zoo/weights/readers.h"
#include "kintsugi/zoo/weights/safetensors.h"
#include "kintsugi/zoo/weights/zip.h"

namespace kintsugi::zoo {

namespace {

template <class T>
int64_t first_nonfinite(const Tensor& tensor) {
  const T* data = tensor.data<T>();
  const int64_t n = tensor.numel();
  for (int64_t i = 0; i < n; ++i) {
    if (!std::isfinite(data[i])) return i;
  }
  return -1;
}

// The row-major index of the first NaN or infinity; -1 where there is none.
int64_t first_nonfinite(const Tensor& tensor) {
  const Tensor dense = tensor.to(kCpu).contiguous();
  if (dense.numel() == 0) return -1;
  if (dense.dtype() == DType::kF64) return first_nonfinite<double>(dense);
  return first_nonfinite<float>(dense.to(DType::kF32));
}

// Names of what is not read, by its first bytes; "" where it is not known.
std::string foreign_format(std::string_view text) {
  struct Magic {
    size_t at;
    std::string_view bytes, name;
  };
  constexpr Magic kMagics[] = {{0, "\x89HDF\r\n\x1a\n", "an HDF5 file"},
                               {0, "version https://git-lfs", "a Git LFS pointer"},
                               {0, "GGUF", "a GGUF file"},
                               {4, "TFL3", "a TensorFlow Lite model"},
                               {257, "ustar", "a tar archive"},
                               {0, "\x1f\x8b", "a gzip file"},
                               {0, "<!DOCTYPE", "a web page"},
                               {0, "<!doctype", "a web page"},
                               {0, "<html", "a web page"}};
  for (const Magic& magic : kMagics) {
    if (text.size() >= magic.at && text.substr(magic.at).starts_with(magic.bytes)) {
      return std::string(magic.name);
    }
  }
  return "";
}

// A zip archive is told by its members' names, which stand in clear text.
Source open_zip(const File& file, const ReadOptions& options) {
  const ZipFile zip(file);
  bool arrays = false;
  for (const auto& [name, member] : zip.members()) {
    if (name == "data.pkl" || name.ends_with("/data.pkl")) return open_torch_zip(file, options);
    arrays = arrays || name.ends_with(".npy");
  }
  if (arrays) return open_npz(file, options);
  const bool keras = zip.members().contains("model.weights.h5");
  fail(ErrorKind::kFormat, file->name(), ": ", keras ? "a Keras archive" : "a zip archive",
       " of no tensors, expected PyTorch's data.pkl or NumPy's .npy members");
}

void strip(std::map<std::string, std::function<Tensor()>>& tensors, std::string_view prefix) {
  std::map<std::string, std::function<Tensor()>> kept;
  for (auto& [name, make] : tensors) {
    if (name.starts_with(prefix)) kept.emplace(name.substr(prefix.size()), std::move(make));
  }
  tensors = std::move(kept);
}

// What people and frameworks put around a network's own names.
void unwrap(std::map<std::string, std::function<Tensor()>>& tensors) {
  const auto begins = [](std::string_view prefix) {
    return [prefix](const auto& entry) { return entry.first.starts_with(prefix); };
  };
  std::erase_if(tensors,
                [](const auto& entry) { return entry.first.ends_with(".num_batches_tracked"); });
  for (bool again = true; again && !tensors.empty();) {
    again = false;
    for (const char* prefix :
         {"state_dict_ema.", "model_ema.", "state_dict.", "model_state.", "model.", "net."}) {
      if (std::none_of(tensors.begin(), tensors.end(), begins(prefix))) continue;
      strip(tensors, prefix);
      again = true;
      break;
    }
    for (const char* prefix : {"module.", "_orig_mod."}) {
      if (!std::all_of(tensors.begin(), tensors.end(), begins(prefix))) continue;
      strip(tensors, prefix);
      again = true;
    }
  }
}

}  // namespace

Source open_source(const File& file, const ReadOptions& options) {
  const auto bytes = file->bytes();
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()),
                              std::min<size_t>(bytes.size(), 4096));
  // safetensors begins with a length of 8 bytes, of which the last is 0, and '{'.
  if (text.size() > 8 && text[8] == '{' && text[7] == 0) return open_safetensors(file, options);
  if (text.starts_with("PK\x03\x04") || text.starts_with("PK\x05\x06")) {
    return open_zip(file, options);
  }
  if ((text.size() > 1 && text[0] == '\x80' && text[1] >= 2 && text[1] <= 5) ||
      text.starts_with("L119547037146038801333356L\n")) {
    return open_torch_legacy(file, options);
  }
  if (text.starts_with("\x93NUMPY")) return open_npy(file, options);
  if (is_shard_index(bytes)) return open_shards(file, options);
  const std::string foreign = foreign_format(text);
  if (!foreign.empty()) {
    fail(ErrorKind::kFormat, file->name(), ": ", foreign,
         ", expected safetensors, a PyTorch checkpoint, .npz or ONNX");
  }
  // ONNX is a protocol buffer: field 1, the IR version, then a producer's name (field 2) or more.
  if (text.size() > 3 && text[0] == 0x08 && text[1] > 0 && text[1] < 32 &&
      (text[2] == 0x12 || text[2] == 0x3a)) {
    return open_onnx(file, options);
  }
  return open_safetensors(file, options);  // whose messages say what is wrong
}

Weights read_weights(const std::filesystem::path& path, const ReadOptions& options) {
  const auto file = std::make_shared<const MappedFile>(path);
  Source source = open_source(file, options);
  if (options.unwrap) unwrap(source.tensors);
  Weights weights;
  weights.metadata = std::move(source.metadata);
  for (auto& [name, make] : source.tensors) weights.tensors[name] = make();
  if (options.refuse_nonfinite) check_finite(weights.tensors, file->name());
  return weights;
}

void write_weights(const std::filesystem::path& path, const Weights& weights) {
  std::map<std::string, Tensor> dense;  // keeps the copies alive while the file is written
  std::map<std::string, StoredTensor> stored;
  for (const auto& [name, tensor] : weights.tensors) {
    if (!tensor.defined()) fail(ErrorKind::kUsage, "write_weights: '", name, "' is undefined");
    if (tensor.is_meta()) {
      fail(ErrorKind::kDevice, "write_weights: '", name, "' is on meta and has no elements");
    }
    const Tensor& source = dense[name] = tensor.to(kCpu).contiguous();
    StoredTensor& entry = stored[name];
    entry.dtype = stored_dtype(source.dtype());
    entry.shape.assign(source.shape().begin(), source.shape().end());
    if (source.numel() > 0) {
      entry.bytes = {static_cast<const std::byte*>(source.raw()), source.bytes()};
    }
  }
  write_safetensors(path, stored, weights.metadata);
}

void check_finite(const std::map<std::string, Tensor>& tensors, const std::string& what) {
  std::vector<std::string> details;
  for (const auto& [name, tensor] : tensors) {
    if (!is_floating(tensor.dtype())) continue;
    const int64_t at = first_nonfinite(tensor);
    if (at >= 0) details.push_back(name + ": first at element " + std::to_string(at));
  }
  if (details.empty()) return;
  // Made first: the details are moved from below, and the order of arguments is the compiler's.
  const std::string message = what + ": NaN or infinity in " + std::to_string(details.size()) +
                              (details.size() == 1 ? " tensor: " : " tensors, ") + details.front();
  throw Error(ErrorKind::kNumeric, message, std::move(details));
}

}  // namespace kintsugi::zoo
