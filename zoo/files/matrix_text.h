// A large matrix in JSON text, past the JSON library: a similarity of 200 networks has 40 million
// numbers. Private to this folder.
#pragma once

#include <string>
#include <string_view>

#include "kintsugi/solvers/matrix.h"

namespace kintsugi::zoo {

// As matrix_json writes it: six digits, a row a line.
std::string matrix_text(const solvers::Matrix& matrix, const std::string& indent);

// Where the value of a field of the outermost object begins; npos where there is no such field, or
// the text is not JSON that far.
size_t find_value(std::string_view json, std::string_view name);

// The array of rows of numbers that begins at `from`; `from` is moved behind it. kFormat, beginning
// with `where`, for anything else, naming the entry that is no number or the row of another length.
solvers::Matrix parse_matrix(std::string_view json, size_t& from, const std::string& where);

}  // namespace kintsugi::zoo
