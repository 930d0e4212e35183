// Zip archives, .npz and ONNX models that lie.
#include "tests/zoo/weights/archives.h"

#include "kintsugi/zoo/weights/checkpoint.h"
#include "tests/zoo/weights/files.h"

using namespace kintsugi;
using namespace kintsugi::test;

namespace {

std::string fixture(const std::string& name) {
  return get(std::filesystem::path(KINTSUGI_SOURCE_DIR) / "tests/zoo/weights/data" / name);
}

struct Refusal {
  Scratch scratch;
  void operator()(const std::string& bytes, const std::string& phrase) const {
    const auto path = put(scratch / "x", bytes);
    expect_error(ErrorKind::kFormat, phrase, [&] { zoo::read_weights(path); });
  }
};

std::string npy(const std::string& shape, const std::string& data) {
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (" + shape + "), }";
  header.append(63 - (10 + header.size()) % 64, ' ');
  header += '\n';
  return std::string("\x93NUMPY\x01\x00", 8) + number(header.size(), 2) + header + data;
}

ZipMember packed(const std::string& name, const std::string& content) {
  return {name, deflated(content), int64_t(content.size()), 8, checksum_of(content)};
}

// Protocol buffers: a varint field, a field of bytes.
std::string field(int id, uint64_t value) {
  std::string out(1, char(id << 3));
  for (; value >= 0x80; value >>= 7) out += char(value | 0x80);
  return out + char(value);
}
std::string field(int id, const std::string& bytes) {
  std::string out = field(id, bytes.size());
  out[0] = char(id << 3 | 2);
  return out + bytes;
}
std::string model(const std::string& graph) {
  return field(1, 8) + field(2, std::string("pytorch")) + field(7, graph);
}
std::string tensor(const std::string& name, const std::string& dims, uint64_t type,
                   const std::string& rest) {
  return field(5, dims + field(2, type) + field(8, name) + rest);
}

}  // namespace

// Found by fuzzing: the header's words stood in the message as they were.
TEST_CASE("hostile archives: a dtype with a line break in it stays within one line") {
  const Refusal refuse;
  std::string array = npy("2,", std::string(8, 0));
  array.replace(array.find("<f4"), 3, "<\nf");
  refuse(array, "dtype '<?f'");
  refuse(zip_of({{"a.npy", array}}), "dtype '<?f'");
}

TEST_CASE("hostile archives: cut at every byte, every byte changed") {
  const Scratch scratch;
  for (const char* name : {"stored.npz", "packed.npz", "block.onnx"}) {
    CAPTURE(name);
    const std::string whole = fixture(name);
    for (size_t n = 0; n < whole.size(); ++n) {
      const auto path = put(scratch / "x", whole.substr(0, n));
      // A protocol buffer may end between two fields.
      if (std::string(name) == "block.onnx") {
        try {
          zoo::read_weights(path);
        } catch (const Error& error) {
          CHECK(error.kind() == ErrorKind::kFormat);
        }
      } else {
        expect_error(ErrorKind::kFormat, "x: ", [&] { zoo::read_weights(path); });
      }
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

TEST_CASE("hostile zip: directories") {
  const Refusal refuse;
  const std::string content = npy("2,", std::string(8, 0));
  const ZipMember sound{"a.npy", content};
  const Scratch scratch;
  CHECK(zoo::read_weights(put(scratch / "x", zip_of({sound}))).tensors.at("a").numel() == 2);
  const auto with = [&](const auto& change) {
    ZipMember member = sound;
    change(member);
    return zip_of({member});
  };
  refuse(with([](auto& m) { m.size = 7; }), "is stored, yet");
  refuse(with([](auto& m) { m.method = 14; }), "packed by method 14");
  refuse(with([](auto& m) { m.flags = 1; }), "is encrypted");
  refuse(with([](auto& m) { m.local_name = "b.npy"; }), "another header than the directory says");
  refuse(with([](auto& m) { m.offset = 5; }), "has no header of its own");
  refuse(with([](auto& m) { m.offset = 1 << 30; }), "lies behind its end");
  refuse(with([](auto& m) { m.size = 0xffffffff; }), "'a.npy'");
  refuse(with([](auto& m) {
           m.size = 0xffffffff;
           m.extra = number(1, 2) + number(8, 2) + number(UINT64_MAX, 8);
         }),
         "is stored, yet");
  refuse(with([](auto& m) {
           m.size = 0xffffffff;
           m.extra = number(1, 2) + number(4, 2) + number(0, 4);
         }),
         "a zip64 field is too short");
  refuse(zip_of({sound, sound}), "stands twice");
  ZipMember again = sound;
  again.name = "b.npy";
  again.local_name = "a.npy";
  again.offset = 0;
  refuse(zip_of({sound, again}), "another header than the directory says");
  std::string whole = zip_of({sound});
  whole[whole.size() - 22 + 10] = 9;  // members
  refuse(whole, "cannot hold 9 members");
  whole = zip_of({sound});
  whole[whole.size() - 22 + 4] = 1;  // disk
  refuse(whole, "one of several parts");
}

TEST_CASE("hostile zip: bombs") {
  const Refusal refuse;
  const std::string zeros(100 << 20, '\0');
  const ZipMember bomb = packed("a.npy", npy("26214400,", zeros));
  refuse(zip_of({bomb}), "would unpack to");
  ZipMember liar = bomb;
  liar.size = int64_t{1} << 31;
  refuse(zip_of({liar}), "packed bytes cannot hold 2147483648");
  // It claims little and holds much: no more than it claims is ever unpacked.
  liar.size = 1000;
  refuse(zip_of({liar}), "not the 1000 bytes that it claims");
  ZipMember wrong = packed("a.npy", npy("2,", "12345678"));
  wrong.checksum ^= 1;
  refuse(zip_of({wrong}), "checksum");
  wrong.packed[5] = char(wrong.packed[5] ^ 0x55);
  refuse(zip_of({wrong}), "'a.npy'");
  refuse(zip_of({{"a.npy", npy("4611686018427387905,4,", std::string(16, 0))}}),
         "more than 64 bits can count");
  refuse(zip_of({{"a.npy", npy("2,", std::string(8, 0))}, {"notes.txt", "x"}}),
         "expected .npy members only");
}

TEST_CASE("hostile onnx: models") {
  const Refusal refuse;
  const std::string two = field(1, 2), data(8, 0);
  const Scratch scratch;
  const auto sound = put(scratch / "x", model(tensor("w", two, 1, field(9, data))));
  CHECK(zoo::read_weights(sound).tensors.at("w").numel() == 2);
  refuse(field(1, 8) + field(2, std::string("pytorch")), "it has no graph");
  refuse(model(tensor("w", two, 1, field(9, data + "!"))), "got 9 bytes, its shape takes 8");
  refuse(model(tensor("w", two, 1, "")), "got 0 bytes");
  refuse(model(tensor("w", two, 1, field(13, field(1, std::string("location"))) + field(14, 1))),
         "lie in another file");
  refuse(model(tensor("w", field(1, UINT64_MAX), 1, field(9, data))), "more than 2^64");
  refuse(model(tensor("w", field(1, 1ull << 62) + field(1, 8), 1, field(9, data))),
         "more than 2^64");
  refuse(model(tensor("w", two, 10, field(5, std::string("\1\1")))), "got halves as numbers");
  refuse(model(tensor("w", two, 1, field(9, data)) + tensor("w", two, 1, field(9, data))),
         "the name 'w' stands twice");
  std::string dims;
  for (int i = 0; i < 40; ++i) dims += field(1, 1);
  refuse(model(tensor("w", dims, 1, field(9, data))), "more than 32 dimensions");
  refuse(model(field(5, std::string("\x42\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 10))),
         "ends too early");
  refuse(model(field(5, std::string("\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12))),
         "more than 64 bits");
  refuse(model(field(5, std::string("\x03"))), "unknown kind");
  std::string nodes;
  for (int i = 0; i < 200'001; ++i) nodes += std::string("\x0a\0", 2);
  refuse(model(nodes), "more than 200000 nodes");
}
