// CIFAR's binary version: records of labels and 3 x 32 x 32 bytes, a plane a colour.
// https://www.cs.toronto.edu/~kriz/cifar.html
#include <algorithm>

#include "kintsugi/engine/core/error.h"
#include "kintsugi/zoo/datasets/sources.h"
#include "kintsugi/zoo/weights/mapped_file.h"

namespace kintsugi::zoo {

namespace {

constexpr size_t kSide = 32, kPlane = kSide * kSide;

struct Variant {
  const char* kind;
  const char* subfolder;
  const char* names;  // of the classes, a line each
  int64_t classes;
  size_t label_bytes;  // the last one is the label: CIFAR-100 puts the coarse before the fine
};

constexpr Variant kCifar10{"CIFAR-10", "cifar-10-batches-bin", "batches.meta.txt", 10, 1};
constexpr Variant kCifar100{"CIFAR-100", "cifar-100-binary", "fine_label_names.txt", 100, 2};

void append(const std::filesystem::path& path, const Variant& variant,
            DenseDataset::Content& content) {
  const MappedFile file(path);
  const size_t record = variant.label_bytes + 3 * kPlane;
  const auto bytes = file.octets();
  if (bytes.empty() || bytes.size() % record != 0) {
    fail(ErrorKind::kFormat, path.string(), ": got ", bytes.size(), " bytes, expected ",
         variant.kind, " records of ", record);
  }
  const size_t count = bytes.size() / record, before = content.pixels.size();
  content.pixels.resize(before + count * 3 * kPlane);
  uint8_t* dst = content.pixels.data() + before;
  std::vector<int64_t> labels;
  for (size_t i = 0; i < count; ++i) {
    const auto one = bytes.subspan(i * record, record);
    labels.push_back(one[variant.label_bytes - 1]);
    const uint8_t* planes = one.data() + variant.label_bytes;
    for (size_t p = 0; p < kPlane; ++p) {
      for (size_t c = 0; c < 3; ++c) *dst++ = planes[c * kPlane + p];
    }
  }
  check_labels(path.string(), labels, content.classes.size());
  content.labels.insert(content.labels.end(), labels.begin(), labels.end());
}

bool is_file(const std::filesystem::path& path) {
  std::error_code error;
  return std::filesystem::is_regular_file(path, error);
}

}  // namespace

std::unique_ptr<Dataset> open_cifar(const std::filesystem::path& given, Split split) {
  for (const Variant& variant : {kCifar10, kCifar100}) {
    const bool ten = variant.classes == 10;
    std::error_code error;
    auto folder = given;
    if (std::filesystem::is_directory(given / variant.subfolder, error))
      folder /= variant.subfolder;
    std::vector<std::filesystem::path> train, test;
    if (ten) {
      for (int i = 1; is_file(folder / ("data_batch_" + std::to_string(i) + ".bin")); ++i) {
        train.push_back(folder / ("data_batch_" + std::to_string(i) + ".bin"));
      }
    } else if (is_file(folder / "train.bin")) {
      train.push_back(folder / "train.bin");
    }
    const char* test_name = ten ? "test_batch.bin" : "test.bin";
    if (is_file(folder / test_name)) test.push_back(folder / test_name);
    if (train.empty() && test.empty()) continue;

    const auto& files = split == Split::kTrain ? train : test;
    if (files.empty()) {
      const char* wanted = split == Split::kTest ? test_name
                           : ten                 ? "data_batch_1.bin"
                                                 : "train.bin";
      fail(ErrorKind::kFormat, folder.string(), ": ", variant.kind, " data without ", wanted,
           ", expected for the ", name_of(split), " split");
    }
    DenseDataset::Content content;
    content.kind = variant.kind;
    content.height = content.width = int(kSide);
    content.channels = 3;
    content.classes = numbered_classes(variant.classes);
    for (const char* name : {variant.names, "classes.txt"}) {
      const auto names = read_class_names(folder, name);
      if (names) content.classes = *names;
    }
    for (const auto& file : files) append(file, variant, content);
    return std::make_unique<DenseDataset>(std::move(content));
  }
  return nullptr;
}

}  // namespace kintsugi::zoo
