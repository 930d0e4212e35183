#include "kintsugi/zoo/latency.h"

#include <iostream>

#include "kintsugi/apps/commands/commands.h"
#include "kintsugi/apps/json.h"
#include "kintsugi/apps/progress.h"
#include "kintsugi/apps/text.h"

namespace kintsugi::apps::commands {

int latency(Session& session) {
  std::string in, out, form = "linear";
  zoo::LatencyOptions options;
  Option stitch{"--stitch", &form, "the form of stitches"};
  stitch.choices = {"linear", "dery"};
  if (!session.parse(
          "Measures each block, stitch, stem and head of a partition on this machine, corrected by "
          "whole assemblies: the table for reassemble --max-latency.",
          {required({"--partition", &in, "PARTITION.json"}),
           required({"--out", &out, "LATENCY.json"}),
           {"--batch-size", &options.batch_size, "images at once", "Options", false, 1},
           stitch,
           {"--fresh-head", &options.fresh_head, "new linear heads"},
           {"--classes", &options.classes, "of the new network (0: the zoo's)", "Options", false,
            0},
           {"--assemblies", &options.assemblies,
            "measured whole to fit the correction, and as many to check it", "Options", false, 1,
            1000}})) {
    return 0;
  }
  options.seed = session.seed();
  options.form = nn::stitch_form(form);
  const zoo::PartitionFile partition = zoo::read_partition(in);
  Progress progress("latency");
  const zoo::LatencyFile file = zoo::measure_latency(
      partition, options, [&](double done) { progress.update(done); }, session.stop());
  zoo::write_latency(out, file);
  if (session.json()) {
    Json checked = Json::array();
    for (const auto& a : file.checked) checked.push_back({a.predicted_ms, a.measured_ms});
    const Json json{{"out", out},
                    {"machine", file.machine},
                    {"threads", file.threads},
                    {"batch_size", file.batch_size},
                    {"blocks", file.blocks.size()},
                    {"stitches", file.stitches.size()},
                    {"factor", file.factor},
                    {"constant_ms", file.constant_ms},
                    {"median_error", file.median_error},
                    {"max_error", file.max_error},
                    {"checked", checked},
                    {"seconds", progress.seconds()}};
    std::cout << json.dump() << "\n";
    return 0;
  }
  std::cout << out << ": " << file.blocks.size() << " blocks and " << file.stitches.size()
            << " stitches, " << file.threads << " threads, batches of " << file.batch_size << ", "
            << file.machine << "\n"
            << "an assembly takes " << fixed(file.constant_ms, 3) << " ms + "
            << fixed(file.factor, 3) << " x its parts; on " << file.checked.size()
            << " others the median error is " << fixed(100 * file.median_error, 1)
            << " %, the greatest " << fixed(100 * file.max_error, 1) << " %\n";
  std::vector<std::vector<std::string>> rows{{"assembly", "predicted ms", "measured ms", "error"}};
  for (size_t i = 0; i < file.checked.size(); ++i) {
    const auto& a = file.checked[i];
    rows.push_back({std::to_string(i + 1), fixed(a.predicted_ms, 3), fixed(a.measured_ms, 3),
                    fixed(100 * (a.predicted_ms / a.measured_ms - 1), 1) + " %"});
  }
  std::cout << table(rows);
  return 0;
}

}  // namespace kintsugi::apps::commands
