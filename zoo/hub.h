// Folders as timm and the Hugging Face hub lay them out: config.json beside the weights
// (https://huggingface.co/docs/timm/hf_hub). Wherever a command takes a weights file it takes such
// a folder too.
#pragma once

#include <filesystem>
#include <string>

#include "kintsugi/zoo/card.h"

namespace kintsugi::zoo {

// The file that `path` means: itself, or in a folder the first that is there of model.safetensors,
// model.safetensors.index.json, pytorch_model.bin, pytorch_model.bin.index.json. Error kIo where a
// folder has none.
std::filesystem::path weights_file(const std::filesystem::path& path);

// A name for weights: the SHA-256 of their file, or for an index that of the digests of all its
// files.
std::string sha256_of_weights(const std::filesystem::path& path);

// From the folder's config.json, of timm's present layout or the older flat one. Error kUsage for
// an architecture that the catalog lacks, kFormat for a config that is broken.
Card card_of_hub(const std::filesystem::path& folder);

}  // namespace kintsugi::zoo
