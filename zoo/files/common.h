// What the four files share. Private to this folder.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "kintsugi/solvers/matrix.h"
#include "kintsugi/zoo/files/dissected.h"
#include "kintsugi/zoo/json.h"

namespace kintsugi::zoo {

// "FILE: models[3]"
std::string at(const std::string& where, const char* name, size_t index);

// Paths in a file are relative to it.
std::filesystem::path resolve(const std::filesystem::path& file, const std::string& path);
std::string relative_to(const std::filesystem::path& file, const std::filesystem::path& path);

void write_json(const std::filesystem::path& path, const Json& json);

Json shape_json(const nn::FeatureShape& shape);
// Field `name` of the object as a feature of a kind, "grid" or "tokens".
nn::FeatureShape feature_from(const Json& object, const char* name, const std::string& kind,
                              int64_t prefix, const std::string& where);

Json model_json(const DissectedModel& model, const std::filesystem::path& file);
std::vector<DissectedModel> models_from(const Json& json, const std::string& where,
                                        const std::filesystem::path& file);

Json matrix_json(const solvers::Matrix& matrix);
solvers::Matrix matrix_from(const Json& rows, size_t row_count, size_t col_count,
                            const std::string& where);

}  // namespace kintsugi::zoo
