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
  bool unwrap = true;            // strangers' wrappings go (see read_weights); our own have none
  uint64_t most_unpacked = 0;    // bytes that packed tensors may take beside the file's own size;
                                 // at least 64 MB
};

// Tells the format by the first bytes, never by the name: safetensors, PyTorch's zip and legacy
// formats, .npz and .npy, ONNX, and the index of a checkpoint in several such files. Others are
// refused by their names (kFormat).
//
// Wrappings go: where tensors lie under "state_dict_ema", "model_ema", "state_dict", "model_state",
// "model" or "net" (the first of these that is there), the others are left out and the word is
// dropped; "module." and "_orig_mod." before all names are dropped; so are the counters
// "num_batches_tracked". Integers that the engine cannot store widen without loss (i8, i16, u16 to
// i32; u32 to i64; u64 to i64 where it fits); F8 is refused with the tensor's name (kDtype).
//
// Memory: each tensor is made once and its part of the file given back, so that reading costs the
// tensors' own size. Tensors that share a storage in the file share it here.
Weights read_weights(const std::filesystem::path& path, const ReadOptions& options = {});

// safetensors, atomically: afterwards the file is whole or as it was. Any strides; CPU tensors.
void write_weights(const std::filesystem::path& path, const Weights& weights);

// Error kNumeric where a floating tensor holds NaN or infinity: the line counts the tensors, the
// details name each with its first such element's index. `what` (a file's name) begins the line.
void check_finite(const std::map<std::string, Tensor>& tensors, const std::string& what);

}  // namespace kintsugi::zoo
