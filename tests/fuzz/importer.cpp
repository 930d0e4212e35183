// A libFuzzer target for one importer: KINTSUGI_IMPORTER names it (open_torch_zip, ...). Whatever
// the bytes, an Error of one line or tensors; the sanitizers watch the rest.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>

#include "kintsugi/engine/core/error.h"
#include "kintsugi/zoo/weights/readers.h"

using namespace kintsugi;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // Importers map files; this one lies in memory.
  const int descriptor = memfd_create("fuzz", 0);
  if (descriptor < 0 || write(descriptor, data, size) != ssize_t(size)) std::abort();
  const std::string path = "/proc/self/fd/" + std::to_string(descriptor);
  try {
    const auto file = std::make_shared<const zoo::MappedFile>(path);
    zoo::Source source = zoo::KINTSUGI_IMPORTER(file, {});
    for (auto& [name, make] : source.tensors) {
      // Reads the elements where they lie, strides and all.
      const Tensor tensor = make();
      if (tensor.numel() <= 1 << 20) tensor.clone();
    }
  } catch (const Error& error) {
    if (std::strchr(error.what(), '\n') != nullptr) std::abort();
  }
  close(descriptor);
  return 0;
}
