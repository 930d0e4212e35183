#include "kintsugi/engine/core/shape.h"

#include "tests/support/compare.h"

using namespace kintsugi;

TEST_CASE("shape: products count, overflow and negative extents are errors") {
  CHECK(Shape{}.numel() == 1);
  CHECK(Shape{2, 3, 4}.numel() == 24);
  CHECK(Shape{int64_t{1} << 40, int64_t{1} << 40, 0}.numel() == 0);
  CHECK_ERROR((Shape{int64_t{1} << 40, int64_t{1} << 40}.numel()), "more elements than 64 bits");
  CHECK_ERROR((Shape{2, -1}.numel()), "shape: negative extent in (2,-1)");
  CHECK_ERROR((Shape{1, 1, 1, 1, 1, 1, 1, 1, 1}), "shape");
}

TEST_CASE("shape: lists are edited by position") {
  Shape s{2, 3};
  CHECK(s[-1] == 3);
  s.insert(1, 7);
  CHECK(s == Shape{2, 7, 3});
  s.erase(-3);
  CHECK(s == Shape{7, 3});
  s.push_back(5);
  CHECK(s.str() == "(7,3,5)");
  CHECK_ERROR(s[3], "got dimension 3, expected one of 3");
  CHECK_ERROR(s[-4], "got dimension -4");
}

TEST_CASE("shape: broadcasting") {
  CHECK(broadcast_shapes("op", {2, 1, 4}, {3, 1}) == Shape{2, 3, 4});
  CHECK(broadcast_shapes("op", {}, {5}) == Shape{5});
  CHECK(broadcast_shapes("op", {0, 3}, {1, 3}) == Shape{0, 3});
  CHECK_ERROR(broadcast_shapes("op", {2}, {3}), "op: shapes (2) and (3) do not broadcast");
  CHECK_ERROR(broadcast_shapes("op", {0}, {3}), "do not broadcast");
}

TEST_CASE("shape: strides") {
  CHECK(contiguous_strides({2, 3, 4}) == Strides{12, 4, 1});
  CHECK(channels_last_strides({2, 3, 4, 5}) == Strides{60, 1, 15, 3});
  CHECK_ERROR(channels_last_strides({2, 3}), "channels last: got (2,3)");
}
