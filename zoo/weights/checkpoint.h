// Trained weights in a file, whatever the format.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "kintsugi/engine/core/tensor.h"

namespace kintsugi::zoo {

struct Weights {
  std::map<std::string, Tensor> tensors;
  std::map<std::string, std::string> metadata;  // the network's card, where there is one
};

struct ReadOptions {
  bool widen_halves = true;      // f16 and bf16 arrive as f32 (exact); otherwise as stored
  bool refuse_nonfinite = true;  // NaN or infinity in a tensor is an Error, as check_finite says it
};

// Tells the format by the first bytes, never by the name. safetensors is read; a PyTorch zip, a
// legacy pickle, ONNX, .npz and HDF5 are refused by name (kFormat). Every tensor is a row-major
// copy on the CPU. Integers that the engine cannot store widen without loss (i8, i16, u16 to i32;
// u32 to i64; u64 to i64 where it fits); F8 is refused with the tensor's name (kDtype).
Weights read_weights(const std::filesystem::path& path, const ReadOptions& options = {});

// safetensors, atomically: afterwards the file is whole or as it was. Any strides; CPU tensors.
void write_weights(const std::filesystem::path& path, const Weights& weights);

// Error kNumeric where a floating tensor holds NaN or infinity: the line counts the tensors, the
// details name each with its first such element's index. `what` (a file's name) begins the line.
void check_finite(const std::map<std::string, Tensor>& tensors, const std::string& what);

}  // namespace kintsugi::zoo
