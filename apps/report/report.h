// The demo's page: one HTML file with everything in it, pictures as SVG, no scripts.
#pragma once

#include <string>

#include "kintsugi/apps/report/findings.h"

namespace kintsugi::apps {

std::string report_html(const Findings& findings);

}  // namespace kintsugi::apps
