#include "kintsugi/zoo/datasets/dataset.h"

#include <algorithm>
#include <fstream>
#include <set>

#include "kintsugi/engine/core/error.h"
#include "kintsugi/zoo/datasets/sources.h"

namespace kintsugi::zoo {

const char* name_of(Split split) {
  return split == Split::kTrain ? "train" : "test";
}

std::optional<std::vector<std::string>> read_class_names(const std::filesystem::path& folder,
                                                         const std::string& name) {
  const auto path = folder / name;
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return std::nullopt;
  std::ifstream file(path);
  std::vector<std::string> names;
  for (std::string line; std::getline(file, line);) {
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    names.push_back(line);
  }
  if (file.bad() || !file.eof()) fail(ErrorKind::kIo, path.string(), ": cannot read");
  while (!names.empty() && names.back().empty()) names.pop_back();
  std::set<std::string> seen;
  for (size_t i = 0; i < names.size(); ++i) {
    if (!names[i].empty() && seen.insert(names[i]).second) continue;
    fail(ErrorKind::kFormat, path.string(), ": line ", i + 1, ": got '", names[i],
         "', expected a class name that no other line has");
  }
  if (names.empty()) fail(ErrorKind::kFormat, path.string(), ": holds no class names");
  return names;
}

std::vector<std::string> numbered_classes(int64_t count) {
  std::vector<std::string> names;
  for (int64_t i = 0; i < count; ++i) names.push_back(std::to_string(i));
  return names;
}

void check_labels(const std::string& what, const std::vector<int64_t>& labels, size_t classes) {
  for (size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] >= 0 && static_cast<uint64_t>(labels[i]) < classes) continue;
    fail(ErrorKind::kFormat, what, ": label ", labels[i], " at index ", i,
         " is out of range, expected 0 to ", classes - 1,
         " (a classes.txt in the folder can name more classes)");
  }
}

DenseDataset::DenseDataset(Content content) : content_(std::move(content)) {
  if (!content_.owner) content_.borrowed = content_.pixels;
}

Image DenseDataset::image(int64_t index) const {
  if (index < 0 || index >= size()) {
    fail(ErrorKind::kUsage, kind(), ": got image ", index, ", expected 0 to ", size() - 1);
  }
  const size_t bytes = size_t(content_.height) * content_.width * content_.channels;
  return {content_.height, content_.width, content_.channels,
          content_.borrowed.subspan(size_t(index) * bytes, bytes), nullptr};
}

int64_t DenseDataset::label(int64_t index) const {
  if (index < 0 || index >= size()) {
    fail(ErrorKind::kUsage, kind(), ": got label ", index, ", expected 0 to ", size() - 1);
  }
  return content_.labels[size_t(index)];
}

std::unique_ptr<Dataset> open_dataset(const std::filesystem::path& folder, Split split,
                                      const DatasetOptions& options) {
  std::error_code error;
  if (!std::filesystem::exists(folder, error)) {
    fail(ErrorKind::kIo, folder.string(), ": no such data folder");
  }
  if (!std::filesystem::is_directory(folder, error)) {
    fail(ErrorKind::kIo, folder.string(), ": got a file, expected a data folder");
  }
  if (auto found = open_idx(folder, split)) return found;
  if (auto found = open_cifar(folder, split)) return found;
  if (auto found = open_npy(folder, split)) return found;
  if (auto found = open_image_folder(folder, split, options)) return found;
  fail(ErrorKind::kFormat, folder.string(),
       ": holds no data set; looked for IDX (train-images-idx3-ubyte[.gz], ...), CIFAR "
       "(data_batch_1.bin or train.bin, ...), .npy (train_images.npy or images.npy, ...) and "
       "folders of PNG and JPEG (<class>/ or train/<class>/, ...)");
}

}  // namespace kintsugi::zoo
