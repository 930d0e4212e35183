#include "kintsugi/engine/core/error.h"

#include "tests/support/compare.h"

using namespace kintsugi;

TEST_CASE("error: a message is streamed, its kind is kept") {
  try {
    fail(ErrorKind::kDtype, "op: got ", 3, ", expected ", "two");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kDtype);
    CHECK(std::string(error.what()) == "op: got 3, expected two");
    CHECK(error.details().empty());
  }
}

TEST_CASE("error: the nearest name is offered only where it is near") {
  const std::vector<std::string> names{"resnet18", "resnet50", "vit_tiny"};
  CHECK(nearest_name("resnet51", names) == "resnet50");
  CHECK(nearest_name("vit_tny", names) == "vit_tiny");
  CHECK(nearest_name("completely_else", names).empty());
  CHECK(nearest_name("x", {}).empty());
  CHECK(did_you_mean("resnet5", names) == "; did you mean 'resnet50'?");
  CHECK(did_you_mean("qqqqqqqqqq", names).empty());
}
