// PyTorch checkpoints that lie or want to run something.
#include "kintsugi/zoo/weights/checkpoint.h"
#include "tests/zoo/weights/archives.h"
#include "tests/zoo/weights/files.h"

using namespace kintsugi;
using namespace kintsugi::test;

namespace {

std::string fixture(const std::string& name) {
  return get(std::filesystem::path(KINTSUGI_SOURCE_DIR) / "tests/zoo/weights/data" / name);
}

std::string text(const std::string& word) {
  return "X" + number(word.size(), 4) + word;
}

// A state_dict of one tensor 'w' over the storage '0'.
std::string pickle_of(const std::string& elements, const std::string& offset,
                      const std::string& shape, const std::string& strides) {
  return "\x80\x02}" + text("w") + "ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") +
         "ctorch\nFloatStorage\n" + text("0") + text("cpu") + elements + "tQ" + offset + "(" +
         shape + "t(" + strides + "t\x89}tRs.";
}

std::string checkpoint(const std::string& pickle, const std::string& storage = std::string(16, 0)) {
  return zip_of({{"a/data.pkl", pickle}, {"a/data/0", storage}});
}

struct Refusal {
  Scratch scratch;
  void operator()(const std::string& bytes, const std::string& phrase) const {
    const auto path = put(scratch / "x.pth", bytes);
    expect_error(ErrorKind::kFormat, phrase, [&] { zoo::read_weights(path); });
  }
};

const std::string kFour = "K\x04", kZero = std::string("K\0", 2), kOne = "K\x01", kTwo = "K\x02";

}  // namespace

TEST_CASE("hostile torch: the plain file is sound") {
  const Scratch scratch;
  const auto path =
      put(scratch / "x", checkpoint(pickle_of(kFour, kZero, kTwo + kTwo, kTwo + kOne)));
  CHECK(zoo::read_weights(path).tensors.at("w").shape() == Shape{2, 2});
}

TEST_CASE("hostile torch: cut at every byte, every byte changed") {
  const Scratch scratch;
  for (const char* name : {"wrapped_2.zip.pth", "wrapped_1.legacy.pth", "wrapped_4.legacy.pth"}) {
    const std::string whole = fixture(name);
    for (size_t n = 0; n < whole.size(); ++n) {
      const auto path = put(scratch / "x", whole.substr(0, n));
      expect_error(ErrorKind::kFormat, "x: ", [&] { zoo::read_weights(path); });
    }
    for (size_t at = 0; at < whole.size(); ++at) {
      std::string changed = whole;
      changed[at] = char(changed[at] ^ (at % 2 ? 0xff : 0x11));
      try {
        zoo::read_weights(put(scratch / "x", changed), {.refuse_nonfinite = false});
      } catch (const Error& error) {
        CHECK(std::string(error.what()).find('\n') == std::string::npos);
      }
    }
  }
}

TEST_CASE("hostile torch: nothing is run, and what was asked for is named") {
  const Refusal refuse;
  const auto asks = [&](const std::string& module, const std::string& name) {
    const std::string phrase = "asks for '" + module + "." + name + "'";
    const std::string call = "c" + module + "\n" + name + "\n" + text("touch pwned") + "\x85R.";
    refuse(checkpoint("\x80\x02" + call), phrase);
    refuse(
        "\x80\x02\x8a\x0al\xfc\x9c\x46\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}.\x80\x02" + call,
        phrase);
    refuse(checkpoint("\x80\x04" + text(module) + text(name) + "\x93."), phrase);
  };
  asks("os", "system");
  asks("posix", "system");
  asks("builtins", "eval");
  asks("__builtin__", "exec");
  asks("builtins", "getattr");
  asks("subprocess", "Popen");
  asks("torch", "load");
  asks("torch.hub", "load");
  asks("torchvision.models.resnet", "ResNet");
  asks("numpy", "load");
  asks("torch.storage", "_load_from_bytes");  // a pickle in a pickle
  refuse(checkpoint("\x80\x02ios\nsystem\n."), "the opcode 0x69");
  refuse(checkpoint("\x80\x02(cbuiltins\nset\no."), "the opcode 0x6f");
  refuse(checkpoint("\x80\x02\x82\x01."), "the opcode 0x82");
  refuse(checkpoint("Pstorage\n."), "the opcode 0x50");
  CHECK_FALSE(std::filesystem::exists("pwned"));
}

TEST_CASE("hostile torch: pickles that would take all memory or never end") {
  const Refusal refuse;
  refuse(checkpoint("\x80\x02" + std::string(3'000'000, ']') + "."), "more than 400000 values");
  refuse(checkpoint("\x80\x02]" + std::string(3'000'000, '2') + "."), "its stack overflows");
  refuse(checkpoint("\x80\x02]" + std::string(3'000'000, '(') + "."), "its stack overflows");
  std::string kept = "\x80\x02]";
  for (int i = 0; i < 1'200'000; ++i) kept += "q\x01";
  refuse(checkpoint(kept + "."), "no dictionary");
  for (int i = 0; i < 1'000'000; ++i) kept += "q\x01";
  refuse(checkpoint(kept + "."), "steps");
  // 100,000 tuples in each other, and a list that holds itself: nothing recurses.
  refuse(checkpoint("\x80\x02N" + std::string(100'000, '\x85') + "."), "no dictionary");
  refuse(checkpoint("\x80\x02]q\x01h\x01"
                    "a."),
         "no dictionary");
  // Each dictionary holds the one before ten times: 10^20 paths to the innermost.
  std::string nest = "\x80\x02}q\x01";
  for (int level = 0; level < 20; ++level) {
    nest += "}(";
    for (char key = 'a'; key < 'k'; ++key) nest += text(std::string(1, key)) + "h\x01";
    nest += "uq\x01";
  }
  refuse(checkpoint(nest + "."), "more than 400000 entries");
  refuse(checkpoint("\x80\x02]h\x07."), "nothing was kept as 7");
  refuse(checkpoint("\x80\x02\x85."), "its stack is empty");
  refuse(checkpoint("\x80\x02t."), "no mark");
  refuse(checkpoint("\x80\x02X\xff\xff\xff\xff"
                    "a."),
         "ends too early");
  refuse(checkpoint("\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xff"
                    "a."),
         "ends too early");
  refuse(checkpoint("\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f"
                    "}."),
         "a frame ends behind");
  refuse(checkpoint("\x80\x09}."), "got protocol 9");
  refuse(checkpoint(""), "ends too early");
}

TEST_CASE("hostile torch: tensors that leave their storage") {
  const Refusal refuse;
  const auto with = [&](const std::string& elements, const std::string& offset,
                        const std::string& shape, const std::string& strides) {
    return checkpoint(pickle_of(elements, offset, shape, strides));
  };
  const std::string huge = "\x8a\x08" + number(INT64_MAX, 8), minus = "J" + number(0xffffffff, 4);
  refuse(with("K\x05", kZero, kTwo + kTwo, kTwo + kOne), "holds 16 bytes, 'w' wants 5 elements");
  refuse(with(huge, kZero, kTwo + kTwo, kTwo + kOne), "wants 9223372036854775807 elements");
  refuse(with(minus, kZero, kTwo + kTwo, kTwo + kOne), "wants -1 elements");
  refuse(with(kFour, kOne, kTwo + kTwo, kTwo + kOne), "leaves its storage of 4 elements");
  refuse(with(kFour, huge, kTwo + kTwo, kTwo + kOne), "leaves its storage");
  refuse(with(kFour, minus, kTwo + kTwo, kTwo + kOne), "leaves its storage");
  refuse(with(kFour, kZero, huge + huge, kTwo + kOne), "leaves its storage");
  refuse(with(kFour, kZero, kTwo + kTwo, huge + huge), "leaves its storage");
  refuse(with(kFour, kZero, huge + kTwo, kZero + kOne), "leaves its storage");
  refuse(with(kFour, kZero, huge, kZero), "repeats the 4 elements");
  refuse(with(kFour, kZero, "J" + number(1 << 30, 4), kZero), "repeats the 4 elements");
  refuse(with(kFour, kZero, minus + kTwo, kTwo + kOne), "whole numbers");
  refuse(with(kFour, kZero, kTwo + kTwo, minus + kOne), "whole numbers");
  refuse(with(kFour, kZero, kTwo + kTwo, kOne), "different lengths");
  refuse(with(kFour, kZero, kTwo + text("two"), kTwo + kOne), "whole numbers");
  std::string ones;
  for (int i = 0; i < 9; ++i) ones += kOne;
  refuse(with(kFour, kZero, ones, ones), "9 dimensions, expected at most 8");
  refuse(zip_of({{"a/data.pkl", pickle_of(kFour, kZero, kTwo, kOne)}}),
         "storage '0' of 'w' is missing");
  refuse(zip_of({{"a/data.pkl", pickle_of(kFour, kZero, kTwo, kOne)},
                 {"a/data/0", std::string(16, 0)},
                 {"a/byteorder", "big"}}),
         "byte order is 'big', expected little");
  const std::string twice = pickle_of(kFour, kZero, kTwo, kOne);
  refuse(checkpoint(twice.substr(0, twice.size() - 1) + twice.substr(3)),
         "the name 'w' stands twice");
}

TEST_CASE("hostile torch: legacy files") {
  const Refusal refuse;
  const std::string magic = "\x80\x02\x8a\x0al\xfc\x9c\x46\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.";
  const std::string little = "\x80\x02}" + text("little_endian") + "\x88s.";
  const std::string tensor = pickle_of(kFour, kZero, kTwo + kTwo, kTwo + kOne);
  const std::string keys = "\x80\x02]" + text("0") + "a.";
  const std::string storage = number(4, 8) + std::string(16, 0);
  const Scratch scratch;
  const auto sound = put(scratch / "x", magic + little + tensor + keys + storage);
  CHECK(zoo::read_weights(sound).tensors.at("w").shape() == Shape{2, 2});
  refuse("\x80\x02}.", "not one of PyTorch");
  refuse("\x80\x02\x8a\x0al\xfc\x9c\x46\xf9 j\xa8P\x19.\x80\x02M\xe8\x03.", "another version");
  refuse(magic + "\x80\x02}" + text("little_endian") + "\x89s." + tensor + keys + storage,
         "got a big-endian checkpoint");
  refuse(magic + little + tensor + keys, "storage '0' is cut short");
  refuse(magic + little + tensor + keys + number(5, 8) + std::string(16, 0), "claims 5 elements");
  refuse(magic + little + tensor + keys + number(uint64_t{1} << 62, 8) + std::string(16, 0),
         "claims");
  refuse(magic + little + tensor + keys + storage + "!", "1 bytes behind the last storage");
  refuse(magic + little + tensor + "\x80\x02]" + text("7") + "a." + storage, "nothing uses it");
  refuse(magic + little + tensor + "\x80\x02](" + text("0") + text("0") + "e." + storage + storage,
         "stands twice");
  refuse(magic + little + tensor + "\x80\x02].", "storage '0' of 'w' is missing");
}
