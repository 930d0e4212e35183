// <root>/[train|test|val/]<class>/*.{png,jpg,jpeg}, decoded when asked for.
#include <algorithm>
#include <mutex>

#include "kintsugi/engine/core/error.h"
#include "kintsugi/zoo/datasets/images.h"
#include "kintsugi/zoo/datasets/sources.h"

namespace kintsugi::zoo {

namespace fs = std::filesystem;

namespace {

bool is_image_name(const fs::path& path) {
  std::string extension = path.extension().string();
  for (char& c : extension) c = char(std::tolower(static_cast<unsigned char>(c)));
  return extension == ".png" || extension == ".jpg" || extension == ".jpeg";
}

// The entries of a folder that `wanted` takes, sorted by name; hidden ones never.
template <class Wanted>
std::vector<fs::path> sorted_entries(const fs::path& folder, const Wanted& wanted) {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (it->path().filename().string().starts_with('.')) continue;
    if (wanted(*it)) found.push_back(it->path());
  }
  if (error) fail(ErrorKind::kIo, folder.string(), ": cannot list: ", error.message());
  std::sort(found.begin(), found.end());
  return found;
}

std::vector<fs::path> folders_in(const fs::path& folder) {
  return sorted_entries(folder, [](const fs::directory_entry& entry) {
    std::error_code error;
    return entry.is_directory(error);
  });
}

std::vector<fs::path> images_in(const fs::path& folder) {
  return sorted_entries(folder, [](const fs::directory_entry& entry) {
    std::error_code error;
    return is_image_name(entry.path()) && entry.is_regular_file(error);
  });
}

class ImageFolder : public Dataset {
 public:
  ImageFolder(std::vector<fs::path> paths, std::vector<int64_t> labels,
              std::vector<std::string> classes, bool has_splits, const DatasetOptions& options)
      : paths_(std::move(paths)),
        labels_(std::move(labels)),
        classes_(std::move(classes)),
        has_splits_(has_splits),
        options_(options),
        cache_(paths_.size()) {}

  int64_t size() const override { return int64_t(paths_.size()); }
  const std::vector<std::string>& classes() const override { return classes_; }
  int64_t label(int64_t index) const override { return labels_[check(index)]; }
  bool has_splits() const override { return has_splits_; }
  std::string kind() const override { return "image folder"; }

  Image image(int64_t index) const override {
    const size_t i = check(index);
    std::shared_ptr<const DecodedImage> decoded;
    {
      std::lock_guard lock(mutex_);
      decoded = cache_[i];
    }
    if (!decoded) {
      decoded = std::make_shared<const DecodedImage>(read_image(paths_[i], options_.max_pixels));
      const auto bytes = int64_t(decoded->pixels.size());
      std::lock_guard lock(mutex_);
      if (!cache_[i] && cached_ + bytes <= options_.cache_bytes) {
        cache_[i] = decoded;
        cached_ += bytes;
      }
    }
    return {decoded->height, decoded->width, decoded->channels, decoded->pixels, decoded};
  }

 private:
  size_t check(int64_t index) const {
    if (index < 0 || index >= size()) {
      fail(ErrorKind::kUsage, kind(), ": got image ", index, ", expected 0 to ", size() - 1);
    }
    return size_t(index);
  }

  const std::vector<fs::path> paths_;
  const std::vector<int64_t> labels_;
  const std::vector<std::string> classes_;
  const bool has_splits_;
  const DatasetOptions options_;
  mutable std::mutex mutex_;
  mutable std::vector<std::shared_ptr<const DecodedImage>> cache_;
  mutable int64_t cached_ = 0;
};

}  // namespace

std::unique_ptr<Dataset> open_image_folder(const fs::path& folder, Split split,
                                           const DatasetOptions& options) {
  std::error_code error;
  const fs::path train = folder / "train";
  fs::path test = folder / "test";
  if (!fs::is_directory(test, error)) test = folder / "val";
  const bool has_train = fs::is_directory(train, error), has_test = fs::is_directory(test, error);
  // A class may be called "train" as well: then that folder holds images, not folders.
  const bool has_splits =
      (has_train && !folders_in(train).empty()) || (has_test && !folders_in(test).empty());
  fs::path root = folder;
  if (has_splits) {
    root = split == Split::kTrain ? train : test;
    if (!fs::is_directory(root, error)) {
      fail(ErrorKind::kFormat, folder.string(), ": an image folder without ",
           split == Split::kTrain ? "train/" : "test/ or val/", ", expected for the ",
           name_of(split), " split");
    }
  }

  // Class numbers come from the training folders, so that both splits agree on them.
  std::vector<std::string> classes;
  for (const auto& path : folders_in(has_splits && has_train ? train : root)) {
    classes.push_back(path.filename().string());
  }
  std::vector<fs::path> paths;
  std::vector<int64_t> labels;
  for (const auto& path : folders_in(root)) {
    const auto images = images_in(path);
    const std::string name = path.filename().string();
    const auto at = std::find(classes.begin(), classes.end(), name);
    if (at == classes.end()) {
      fail(ErrorKind::kFormat, path.string(), ": class '", name, "' is not among those of train/",
           did_you_mean(name, classes));
    }
    paths.insert(paths.end(), images.begin(), images.end());
    labels.insert(labels.end(), images.size(), at - classes.begin());
  }
  if (paths.empty() && !has_splits) return nullptr;
  if (paths.empty()) {
    fail(ErrorKind::kFormat, root.string(), ": holds no <class>/*.png or *.jpg");
  }
  return std::make_unique<ImageFolder>(std::move(paths), std::move(labels), std::move(classes),
                                       has_splits, options);
}

}  // namespace kintsugi::zoo
