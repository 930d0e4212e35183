// .npz: a zip archive of .npy files, stored (numpy.savez) or deflated (numpy.savez_compressed).
#include "kintsugi/engine/core/error.h"
#include "kintsugi/engine/core/printable.h"
#include "kintsugi/zoo/weights/npy.h"
#include "kintsugi/zoo/weights/readers.h"
#include "kintsugi/zoo/weights/zip.h"

namespace kintsugi::zoo {

namespace {

Tensor tensor_of(const NpyFile& array, const ReadOptions& options) {
  const Tensor tensor = array.tensor();
  return tensor.dtype() == DType::kF16 && options.widen_halves ? tensor.to(DType::kF32) : tensor;
}

}  // namespace

Source open_npz(const File& file, const ReadOptions& options) {
  const auto zip = std::make_shared<const ZipFile>(file);
  Source source;
  uint64_t unpacked = 0;
  for (const auto& [name, member] : zip->members()) {
    const std::string where = file->name() + ": '" + printable(name) + "'";
    if (!name.ends_with(".npy")) fail(ErrorKind::kFormat, where, ": expected .npy members only");
    if (member.deflated) unpacked += member.size;
    const auto make = [file, zip, where, options, &name = name, &member = member] {
      if (member.deflated) {
        const auto bytes = std::make_shared<const std::vector<std::byte>>(zip->unpack(name));
        return tensor_of({*bytes, where, bytes}, options);
      }
      const Tensor tensor = tensor_of({member.packed, where, file}, options);
      file->release(member.packed);
      return tensor;
    };
    if (!member.deflated) NpyFile(member.packed, where, file);  // checks its header now
    source.tensors.emplace(name.substr(0, name.size() - 4), make);
  }
  // Weights hardly pack: what claims to unpack to much more is a bomb.
  const uint64_t most = file->bytes().size() + std::max(options.most_unpacked, uint64_t{64} << 20);
  if (unpacked > most) {
    fail(ErrorKind::kFormat, file->name(), ": ", file->bytes().size(), " bytes would unpack to ",
         unpacked, ", expected at most ", most);
  }
  return source;
}

Source open_npy(const File& file, const ReadOptions& options) {
  Source source;
  const NpyFile array(file->bytes(), file->name(), file);
  // One array without a name: the file's.
  source.tensors.emplace(std::filesystem::path(file->name()).stem().string(),
                         [array, options] { return tensor_of(array, options); });
  return source;
}

}  // namespace kintsugi::zoo
