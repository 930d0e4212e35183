// The kinds of data set that open_dataset tells apart. Each opens its files and checks all of them,
// or returns nothing where the folder is not of its kind; what a folder of its kind lacks is an
// Error.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kintsugi/zoo/datasets/dataset.h"

namespace kintsugi::zoo {

std::unique_ptr<Dataset> open_idx(const std::filesystem::path& folder, Split split);
std::unique_ptr<Dataset> open_cifar(const std::filesystem::path& folder, Split split);
std::unique_ptr<Dataset> open_npy(const std::filesystem::path& folder, Split split);
std::unique_ptr<Dataset> open_image_folder(const std::filesystem::path& folder, Split split,
                                           const DatasetOptions& options);

// The lines of folder/<name>, or nothing where there is no such file; an empty or doubled name is
// an Error kFormat.
std::optional<std::vector<std::string>> read_class_names(const std::filesystem::path& folder,
                                                         const std::string& name = "classes.txt");
std::vector<std::string> numbered_classes(int64_t count);  // "0", "1", ...

// Error kFormat that names the first index whose label is not in [0, classes).
void check_labels(const std::string& what, const std::vector<int64_t>& labels, size_t classes);

// Images of one size in memory, whatever file they came from.
class DenseDataset : public Dataset {
 public:
  struct Content {
    std::string kind;
    int height = 0;
    int width = 0;
    int channels = 0;
    std::vector<uint8_t> pixels;        // (N,H,W,C), or
    std::span<const uint8_t> borrowed;  // the same, kept alive by
    std::shared_ptr<const void> owner;
    std::vector<int64_t> labels;
    std::vector<std::string> classes;
    bool has_splits = true;
  };
  explicit DenseDataset(Content content);
  int64_t size() const override { return static_cast<int64_t>(content_.labels.size()); }
  const std::vector<std::string>& classes() const override { return content_.classes; }
  Image image(int64_t index) const override;
  int64_t label(int64_t index) const override;
  bool has_splits() const override { return content_.has_splits; }
  std::string kind() const override { return content_.kind; }

 private:
  Content content_;
};

}  // namespace kintsugi::zoo
