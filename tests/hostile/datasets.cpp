// IDX and gzip files that lie.
#include "kintsugi/zoo/datasets/gzip.h"
#include "tests/zoo/datasets/samples.h"

using namespace kintsugi;
using namespace kintsugi::test;
using zoo::Split;

namespace {

struct Pair {
  Scratch scratch;
  Pair() { put(scratch / "train-labels-idx1-ubyte", idx_labels(4)); }
  void refuse(const std::string& images, const std::string& phrase) const {
    put(scratch / "train-images-idx3-ubyte", images);
    expect_error(ErrorKind::kFormat, phrase,
                 [&] { zoo::open_dataset(scratch.path(), Split::kTrain); });
  }
  void refuse_labels(const std::string& labels, const std::string& phrase) const {
    put(scratch / "train-images-idx3-ubyte", idx_images(4, 2, 2));
    put(scratch / "train-labels-idx1-ubyte", labels);
    expect_error(ErrorKind::kFormat, phrase,
                 [&] { zoo::open_dataset(scratch.path(), Split::kTrain); });
  }
};

}  // namespace

TEST_CASE("hostile idx: cut at every byte, plain and gzipped") {
  const Pair pair;
  const std::string images = idx_images(4, 2, 2);
  for (const std::string& whole : {images, gzipped(images)}) {
    for (size_t n = 0; n < whole.size(); ++n) pair.refuse(whole.substr(0, n), "images-idx3-ubyte");
  }
  pair.refuse(images + "x", "holds more bytes than its header says");
  pair.refuse(gzipped(images + "x"), "holds more bytes than its header says");
  pair.refuse(gzipped(images) + "trailing", "broken gzip data");
}

TEST_CASE("hostile idx: magic and extents") {
  const Pair pair;
  const auto header = [](uint32_t magic, uint32_t n, uint32_t h, uint32_t w) {
    return big_endian(magic) + big_endian(n) + big_endian(h) + big_endian(w);
  };
  pair.refuse(header(0x801, 4, 2, 2) + std::string(16, 'p'), "got magic 2049, expected 2051");
  pair.refuse(header(0xd03, 4, 2, 2) + std::string(16, 'p'), "got magic 3331");
  pair.refuse(header(0x803, 5, 2, 2) + std::string(20, 'p'), "got 4 labels for 5 images");
  pair.refuse(header(0x803, 0, 2, 2), "expected some");
  pair.refuse(header(0x803, 4, 0, 2), "expected some");
  const uint32_t most = 0xffffffff;
  pair.refuse(header(0x803, most, most, most), "more than the file can hold");
  pair.refuse(header(0x803, 65536, 65536, 4096), "more than the file can hold");
  pair.refuse(gzipped(header(0x803, 60000, 28, 28)), "more than the file can hold");
  pair.refuse(header(0x803, 1, 1, 65536) + std::string(65536, 'p'), "at most 65535");
}

TEST_CASE("hostile idx: a bomb stops at what its header says") {
  // 64 MiB of zeros in 64 KiB: claimed as four pixels, only those and one more are inflated.
  const Pair pair;
  std::string bomb = idx_images(4, 1, 1);
  bomb.append(size_t{64} << 20, '\0');
  pair.refuse(gzipped(bomb), "holds more bytes than its header says");
}

TEST_CASE("hostile idx: broken checksums and streams") {
  const Pair pair;
  const std::string whole = gzipped(idx_images(4, 2, 2));
  for (const size_t at : {whole.size() - 8, whole.size() - 1, size_t{12}}) {
    std::string changed = whole;
    changed[at] = char(changed[at] ^ 0x55);
    pair.refuse(changed, "images-idx3-ubyte");
  }
}

TEST_CASE("hostile idx: a label out of range is named with its index") {
  const Pair pair;
  std::string labels = idx_labels(4);
  labels[8 + 2] = char(200);
  pair.refuse_labels(labels, "label 200 at index 2 is out of range, expected 0 to 9");
  labels[8 + 2] = 10;
  pair.refuse_labels(labels, "label 10 at index 2");
  pair.refuse_labels(idx_labels(3), "got 3 labels for 4 images");
}

TEST_CASE("hostile idx: a folder in a file's place") {
  const Pair pair;
  std::filesystem::create_directory(pair.scratch / "train-images-idx3-ubyte");
  expect_error(ErrorKind::kIo, "it is a folder",
               [&] { zoo::open_dataset(pair.scratch.path(), Split::kTrain); });
}
