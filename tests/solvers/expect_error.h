// Asserts that a call throws an Error of a kind whose text holds a phrase.
#pragma once

#include <doctest/doctest.h>

#include <string>

#include "kintsugi/engine/core/error.h"

namespace kintsugi::solvers::test {

template <class Call>
void expect_error(ErrorKind kind, const std::string& phrase, const Call& call) {
  try {
    call();
    FAIL_CHECK("no error; expected: " << phrase);
  } catch (const Error& error) {
    CHECK(error.kind() == kind);
    const std::string text = error.what();
    CHECK_MESSAGE(text.find(phrase) != std::string::npos, text);
  }
}

}  // namespace kintsugi::solvers::test
