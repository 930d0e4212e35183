// IDX: big-endian magic (0x0000 08 rank: u8 values), extents, values.
// http://yann.lecun.com/exdb/mnist
#include <algorithm>
#include <array>

#include "kintsugi/engine/core/error.h"
#include "kintsugi/zoo/datasets/gzip.h"
#include "kintsugi/zoo/datasets/sources.h"
#include "kintsugi/zoo/weights/mapped_file.h"

namespace kintsugi::zoo {

namespace {

struct Idx {
  std::vector<uint64_t> extents;
  std::vector<uint8_t> values;
};

uint32_t big_endian(const uint8_t* bytes) {
  return uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 |
         uint32_t{bytes[3]};
}

Idx read_idx(const std::filesystem::path& path, int rank) {
  const MappedFile file(path);
  GzipReader reader(file.bytes(), file.name());
  std::array<uint8_t, 16> header;
  reader.read({header.data(), size_t(4 + 4 * rank)});
  const uint32_t expected = 0x0800u + uint32_t(rank);
  const uint32_t magic = big_endian(header.data());
  if (magic != expected) {
    fail(ErrorKind::kFormat, path.string(), ": not an IDX file of u8 values of rank ", rank,
         ": got magic ", magic, ", expected ", expected);
  }
  Idx idx;
  uint64_t count = 1;
  for (int i = 0; i < rank; ++i) {
    const uint64_t extent = big_endian(header.data() + 4 + 4 * i);
    idx.extents.push_back(extent);
    // Each product stays under 2^56: the extent has 32 bits and what the file can hold bounds the
    // rest.
    if (extent == 0 || count > reader.most() / extent) {
      fail(ErrorKind::kFormat, path.string(), ": its header claims ", count, " x ", extent,
           extent == 0 ? " values, expected some" : " values, more than the file can hold");
    }
    count *= extent;
  }
  idx.values.resize(count);
  reader.read(idx.values);
  reader.expect_end();
  return idx;
}

// `stem` or `stem`.gz; empty where there is neither.
std::filesystem::path find(const std::filesystem::path& folder, const std::string& stem) {
  std::error_code error;
  for (const char* suffix : {"", ".gz"}) {
    auto path = folder / (stem + suffix);
    if (std::filesystem::exists(path, error)) return path;
  }
  return {};
}

}  // namespace

std::unique_ptr<Dataset> open_idx(const std::filesystem::path& folder, Split split) {
  const std::string images = "-images-idx3-ubyte", labels = "-labels-idx1-ubyte";
  bool any = false;
  for (const char* part : {"train", "t10k"}) {
    for (const auto& kind : {images, labels}) any |= !find(folder, part + kind).empty();
  }
  if (!any) return nullptr;

  const std::string part = split == Split::kTrain ? "train" : "t10k";
  const auto image_path = find(folder, part + images), label_path = find(folder, part + labels);
  if (image_path.empty() || label_path.empty()) {
    fail(ErrorKind::kFormat, folder.string(), ": IDX data without ",
         part + (image_path.empty() ? images : labels), "[.gz], expected for the ", name_of(split),
         " split");
  }
  Idx pixels = read_idx(image_path, 3);
  if (std::max(pixels.extents[1], pixels.extents[2]) > 65535) {
    fail(ErrorKind::kFormat, image_path.string(), ": got images of ", pixels.extents[1], " x ",
         pixels.extents[2], ", expected at most 65535 x 65535");
  }
  const Idx marks = read_idx(label_path, 1);
  if (pixels.extents[0] != marks.extents[0]) {
    fail(ErrorKind::kFormat, label_path.string(), ": got ", marks.extents[0], " labels for ",
         pixels.extents[0], " images");
  }
  DenseDataset::Content content;
  content.kind = "IDX";
  content.height = int(pixels.extents[1]);
  content.width = int(pixels.extents[2]);
  content.channels = 1;
  content.pixels = std::move(pixels.values);
  content.labels.assign(marks.values.begin(), marks.values.end());
  content.classes = read_class_names(folder).value_or(numbered_classes(10));
  check_labels(label_path.string(), content.labels, content.classes.size());
  return std::make_unique<DenseDataset>(std::move(content));
}

}  // namespace kintsugi::zoo
