#include "kintsugi/zoo/weights/checkpoint.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kintsugi/zoo/weights/safetensors.h"

namespace kintsugi::zoo {

namespace {

// Elements of a file need not be aligned, so they are copied out one by one.
template <class From, class To, class Convert>
Tensor convert(const StoredTensor& stored, const Shape& shape, const Convert& to) {
  Tensor out = Tensor::empty(shape, DTypeOf<To>::value);
  To* dst = out.data<To>();
  const std::byte* src = stored.bytes.data();
  for (int64_t i = 0, n = out.numel(); i < n; ++i, src += sizeof(From)) {
    From value;
    std::memcpy(&value, src, sizeof value);
    dst[i] = to(value);
  }
  return out;
}

template <class From, class To>
Tensor widen(const StoredTensor& stored, const Shape& shape) {
  return convert<From, To>(stored, shape, [](From value) { return static_cast<To>(value); });
}

Tensor copy(const StoredTensor& stored, const Shape& shape, DType dtype) {
  Tensor out = Tensor::empty(shape, dtype);
  if (!stored.bytes.empty()) std::memcpy(out.raw(), stored.bytes.data(), stored.bytes.size());
  return out;
}

Tensor to_tensor(const std::string& where, const StoredTensor& stored, bool widen_halves) {
  if (stored.shape.size() > size_t(kMaxRank)) {
    fail(ErrorKind::kFormat, where, ": got ", stored.shape.size(), " dimensions, expected at most ",
         kMaxRank);
  }
  const Shape shape{std::span<const int64_t>(stored.shape)};
  switch (stored.dtype) {
    case StoredDType::kF64:
      return copy(stored, shape, DType::kF64);
    case StoredDType::kF32:
      return copy(stored, shape, DType::kF32);
    case StoredDType::kF16:
      if (!widen_halves) return copy(stored, shape, DType::kF16);
      return convert<uint16_t, float>(stored, shape, f16_to_f32);
    case StoredDType::kBF16:
      if (!widen_halves) return copy(stored, shape, DType::kBF16);
      return convert<uint16_t, float>(stored, shape, bf16_to_f32);
    case StoredDType::kI64:
      return copy(stored, shape, DType::kI64);
    case StoredDType::kI32:
      return copy(stored, shape, DType::kI32);
    case StoredDType::kU8:
      return copy(stored, shape, DType::kU8);
    case StoredDType::kI16:
      return widen<int16_t, int32_t>(stored, shape);
    case StoredDType::kI8:
      return widen<int8_t, int32_t>(stored, shape);
    case StoredDType::kU16:
      return widen<uint16_t, int32_t>(stored, shape);
    case StoredDType::kU32:
      return widen<uint32_t, int64_t>(stored, shape);
    case StoredDType::kU64:
      return convert<uint64_t, int64_t>(stored, shape, [&](uint64_t value) {
        if (value > uint64_t(INT64_MAX)) {
          fail(ErrorKind::kDtype, where, ": got ", value, ", expected what 63 bits hold");
        }
        return int64_t(value);
      });
    case StoredDType::kBool:
      return convert<uint8_t, bool>(stored, shape, [](uint8_t value) { return value != 0; });
    default:
      fail(ErrorKind::kDtype, where, ": got ", name_of(stored.dtype),
           ", which the engine cannot compute in; expected F32, F16, BF16 or F64");
  }
}

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
  const Tensor dense = tensor.contiguous();
  if (dense.numel() == 0) return -1;
  if (dense.dtype() == DType::kF64) return first_nonfinite<double>(dense);
  return first_nonfinite<float>(dense.to(DType::kF32));
}

// By the first bytes; "" for safetensors, whose first 8 are a length and whose ninth is '{'.
std::string other_format(std::span<const std::byte> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()),
                              std::min<size_t>(bytes.size(), 4096));
  if (text.size() > 8 && text[8] == '{' && text[7] == 0) return "";
  if (text.starts_with("PK\x03\x04") || text.starts_with("PK\x05\x06")) {
    // The name of the first member stands at byte 30.
    const std::string_view first = text.substr(std::min<size_t>(30, text.size()), 200);
    if (first.find("data.pkl") != first.npos) return "a PyTorch zip checkpoint";
    if (first.find(".npy") != first.npos) return "an .npz archive";
    return "a zip archive";
  }
  if (text.starts_with("\x80\x02") || text.starts_with("\x80\x03") ||
      text.starts_with("\x80\x04") || text.starts_with("\x80\x05")) {
    return "a legacy pickle";
  }
  if (text.starts_with("\x93NUMPY")) return "an .npy array";
  if (text.starts_with("\x89HDF\r\n\x1a\n")) return "an HDF5 file";
  if (text.starts_with("version https://git-lfs")) return "a Git LFS pointer";
  if (text.size() >= 4 && text.substr(0, 4) == "GGUF") return "a GGUF file";
  // ONNX is a protocol buffer: field 1, the IR version, then a producer's name (field 2) or more.
  if (text.size() > 3 && text[0] == 0x08 && text[1] > 0 && text[1] < 32 &&
      (text[2] == 0x12 || text[2] == 0x3a)) {
    return "an ONNX model";
  }
  return "";
}

}  // namespace

Weights read_weights(const std::filesystem::path& path, const ReadOptions& options) {
  {
    const MappedFile file(path);
    const std::string format = other_format(file.bytes());
    if (!format.empty()) {
      fail(ErrorKind::kFormat, path.string(), ": ", format,
           ", which is not supported yet; expected safetensors");
    }
  }
  const auto file = SafetensorsFile::open(path);
  Weights weights;
  weights.metadata = file.metadata();
  for (const auto& [name, stored] : file.entries()) {
    weights.tensors[name] =
        to_tensor(file.path() + ": '" + name + "'", stored, options.widen_halves);
  }
  if (options.refuse_nonfinite) check_finite(weights.tensors, file.path());
  return weights;
}

void write_weights(const std::filesystem::path& path, const Weights& weights) {
  std::map<std::string, Tensor> dense;  // keeps the copies alive while the file is written
  std::map<std::string, StoredTensor> stored;
  for (const auto& [name, tensor] : weights.tensors) {
    if (!tensor.defined()) fail(ErrorKind::kUsage, "write_weights: '", name, "' is undefined");
    if (tensor.device() != kCpu) {
      fail(ErrorKind::kDevice, "write_weights: '", name, "' is on ", tensor.device(),
           ", expected cpu");
    }
    const Tensor& source = dense[name] = tensor.contiguous();
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
