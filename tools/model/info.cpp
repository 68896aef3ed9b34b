#include <cstdio>

#include <nlohmann/json.hpp>

#include "commands.h"
#include "config/text.h"

namespace einet {
namespace {

using Json = nlohmann::ordered_json;

std::size_t weight_count(const Program& program) {
  std::size_t count = 0;
  for (const auto& [name, shape] : program.tensors()) {
    std::size_t elements = 1;
    for (const std::int64_t n : shape) elements *= static_cast<std::size_t>(n);
    count += elements;
  }
  return count;
}

Json part_json(const PartTime& t) {
  return {{"p50", format_duration(t.p50)}, {"p99", format_duration(t.p99)}, {"max", format_duration(t.max)}};
}

Json to_json(const PackageInfo& info) {
  const Program& program = info.program;
  const Shape in = program.input();
  Json out = {{"name", info.name},
              {"version", info.version},
              {"digest", info.digest},
              {"input", {in.channels, in.height, in.width}},
              {"classes", program.classes()},
              {"weights", weight_count(program)},
              {"blocks", Json::array()},
              {"profiles", Json::array()},
              {"predictor", info.predictor.has_value()}};
  for (int b = 0; b < program.block_count(); ++b) {
    Json block = {{"trunk_operations", program.block(b).trunk.size()},
                  {"exit_operations", program.block(b).exit.size()}};
    if (info.confidences.samples > 0) block["accuracy"] = info.confidences.accuracy(b);
    out["blocks"].push_back(std::move(block));
  }
  for (const EtProfile& profile : info.times) {
    Json one = {{"device", profile.device},
                {"machine", profile.machine},
                {"method", profile.method},
                {"trunk", Json::array()},
                {"exit", Json::array()}};
    for (const PartTime& t : profile.trunk) one["trunk"].push_back(part_json(t));
    for (const PartTime& t : profile.exit) one["exit"].push_back(part_json(t));
    out["profiles"].push_back(std::move(one));
  }
  return out;
}

void print_times(const EtProfile& profile) {
  std::printf("\ntimes on %s: %s\n  %s\n", escape(profile.device).c_str(), escape(profile.machine).c_str(),
              escape(profile.method).c_str());
  std::printf("  block   trunk p50      p99      max    exit p50      p99      max\n");
  const auto text = [](Duration d) { return format_duration_short(d); };
  Duration trunks{}, exits{};
  for (std::size_t b = 0; b < profile.trunk.size(); ++b) {
    const PartTime &t = profile.trunk[b], &e = profile.exit[b];
    std::printf("  %5zu  %10s %8s %8s  %10s %8s %8s\n", b, text(t.p50).c_str(), text(t.p99).c_str(),
                text(t.max).c_str(), text(e.p50).c_str(), text(e.p99).c_str(), text(e.max).c_str());
    trunks += t.p50;
    exits += e.p50;
  }
  std::printf("  all    %10s %19s%10s   (%s in all)\n", text(trunks).c_str(), "", text(exits).c_str(),
              text(trunks + exits).c_str());
}

void print_table(const PackageInfo& info) {
  const Program& program = info.program;
  std::printf("%s, version %s (%.12s)\n", info.name.c_str(), escape(info.version).c_str(),
              info.digest.c_str());
  std::printf("input %s, %d classes, %d blocks, %zu weights (%s)\n", format_shape(program.input()).c_str(),
              program.classes(), program.block_count(), weight_count(program),
              format_bytes(ByteCount{4 * weight_count(program)}).c_str());
  std::printf("\n  block  operations: trunk  exit  state after the trunk   accuracy\n");
  for (int b = 0; b < program.block_count(); ++b) {
    std::string state;
    for (const Register r : program.state_after(b)) state += format_shape(program.shape(r));
    std::printf("  %5d  %17zu  %4zu  %21s", b, program.block(b).trunk.size(), program.block(b).exit.size(),
                state.c_str());
    if (info.confidences.samples > 0) std::printf("   %7.2f%%", 100 * info.confidences.accuracy(b));
    std::printf("\n");
  }
  if (info.confidences.samples > 0)
    std::printf("  accuracy over %d held-out images\n", info.confidences.samples);
  if (info.predictor) std::printf("  it has a predictor of a sample's accuracy at later exits\n");
  for (const EtProfile& profile : info.times) print_times(profile);
}

}  // namespace

Result<void> run(const InfoCommand& command) {
  const auto package = read_package(command.package);  // with the weights: all of it is checked
  if (!package) return package.error();
  if (command.form == InfoCommand::Form::json) {
    std::printf("%s\n", to_json(package->info).dump(2).c_str());
  } else {
    print_table(package->info);
  }
  return {};
}

}  // namespace einet
