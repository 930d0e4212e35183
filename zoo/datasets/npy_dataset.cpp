#include <algorithm>

#include "kintsugi/engine/core/error.h"
#include "kintsugi/zoo/datasets/sources.h"
#include "kintsugi/zoo/weights/npy.h"

namespace kintsugi::zoo {

namespace {

bool is_colour(int64_t extent) {
  return extent == 1 || extent == 3;
}

// (N,C,H,W) to (N,H,W,C)
std::vector<uint8_t> interleave(std::span<const uint8_t> planes, int64_t channels, int64_t area) {
  std::vector<uint8_t> out(planes.size());
  const size_t c = size_t(channels), plane = size_t(area);
  for (size_t first = 0; first < out.size(); first += c * plane) {
    for (size_t p = 0; p < plane; ++p) {
      for (size_t k = 0; k < c; ++k) out[first + p * c + k] = planes[first + k * plane + p];
    }
  }
  return out;
}

}  // namespace

std::unique_ptr<Dataset> open_npy(const std::filesystem::path& folder, Split split) {
  std::error_code error;
  const auto exists = [&](const std::string& name) {
    return std::filesystem::exists(folder / name, error);
  };
  std::string prefix;
  if (exists("train_images.npy") || exists("test_images.npy")) {
    prefix = std::string(name_of(split)) + "_";
  } else if (!exists("images.npy")) {
    return nullptr;
  }
  for (const std::string part : {"images.npy", "labels.npy"}) {
    if (exists(prefix + part)) continue;
    fail(ErrorKind::kFormat, folder.string(), ": .npy data without ", prefix + part,
         ", expected for the ", name_of(split), " split");
  }

  const auto path = (folder / (prefix + "images.npy")).string();
  const auto file = std::make_shared<const NpyFile>(NpyFile::open(path));
  const Shape& shape = file->shape();
  const int rank = shape.rank();
  const bool last = rank == 4 && is_colour(shape[3]);
  const bool planes = rank == 4 && !last && is_colour(shape[1]);
  if (file->dtype() != DType::kU8 || !(rank == 3 || last || planes)) {
    fail(ErrorKind::kFormat, path, ": got ", name_of(file->dtype()), " of shape ", shape,
         ", expected u8 of (N,H,W), (N,H,W,C) or (N,C,H,W) with 1 or 3 channels");
  }
  DenseDataset::Content content;
  const int64_t height = shape[planes ? 2 : 1], width = shape[planes ? 3 : 2];
  if (shape.numel() == 0 || std::max(height, width) > 65535) {
    fail(ErrorKind::kFormat, path, ": got shape ", shape,
         ", expected at least one image, of at most 65535 x 65535");
  }
  content.kind = ".npy";
  content.height = int(height);
  content.width = int(width);
  content.channels = int(rank == 3 ? 1 : shape[planes ? 1 : 3]);
  content.has_splits = !prefix.empty();
  const std::span stored(reinterpret_cast<const uint8_t*>(file->bytes().data()),
                         file->bytes().size());
  if (file->fortran_order()) {
    const auto values = file->tensor().to_vector<uint8_t>();
    content.pixels = planes ? interleave(values, content.channels, height * width) : values;
  } else if (planes && content.channels > 1) {
    content.pixels = interleave(stored, content.channels, height * width);
  } else {
    content.borrowed = stored;  // the pixels stay in the file's pages
    content.owner = file;
  }

  const auto label_path = (folder / (prefix + "labels.npy")).string();
  const Tensor labels = read_npy(label_path);
  if (is_floating(labels.dtype()) || labels.rank() != 1 || labels.numel() != shape[0]) {
    fail(ErrorKind::kFormat, label_path, ": got ", name_of(labels.dtype()), " of shape ",
         labels.shape(), ", expected whole numbers of shape (", shape[0], ")");
  }
  content.labels = labels.to_vector<int64_t>();
  const int64_t most = *std::max_element(content.labels.begin(), content.labels.end());
  constexpr int64_t kMostClasses = 1'000'000;  // a larger label is a broken file, not a class
  const auto names = read_class_names(folder);
  content.classes =
      names ? *names : numbered_classes(std::clamp<int64_t>(most + 1, 1, kMostClasses));
  check_labels(label_path, content.labels, content.classes.size());
  return std::make_unique<DenseDataset>(std::move(content));
}

}  // namespace kintsugi::zoo
