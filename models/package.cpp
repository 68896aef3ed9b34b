#include "models/package.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/check.h"
#include "config/files.h"
#include "models/package_files.h"
#include "models/predictor_file.h"

namespace einet {
namespace {

namespace fs = std::filesystem;

// A package as bytes: every file that was read, and how messages call the place.
struct Files {
  std::string place;
  std::map<std::string, std::string, std::less<>> bytes;

  std::string path(std::string_view file) const { return place + "/" + std::string(file); }
  std::string_view get(std::string_view file) const { return bytes.find(file)->second; }
  bool has(std::string_view file) const { return bytes.contains(file); }
};

ByteCount limit_of(std::string_view file) {
  if (file == kWeightsFile) return PackageLimits::kWeightsFile;
  if (file == kCsProfileFile) return PackageLimits::kProfileFile;
  if (file == kPredictorFile) return kPredictorFileLimit;
  return PackageLimits::kModelFile;
}

Result<PackageInfo> parse_info(const Files& files, ModelFile&& model) {
  auto program = read_program(files.get(kProgramFile), files.path(kProgramFile), model.input, model.classes);
  if (!program) return program.error();
  if (program->block_count() != model.blocks) {
    return error(files.path(kProgramFile) + ": has " + std::to_string(program->block_count()) + " blocks; " +
                 std::string(kModelFile) + " says " + std::to_string(model.blocks));
  }
  PackageInfo info{std::move(model.name),
                   std::move(model.version),
                   std::move(*program),
                   std::move(model.normalisation),
                   std::move(model.labels),
                   {},
                   {},
                   sha256(files.get(kModelFile))};
  if (files.has(kEtProfileFile)) {
    auto times = parse_et_profile(files.get(kEtProfileFile), files.path(kEtProfileFile), model.blocks);
    if (!times) return times.error();
    info.times = std::move(*times);
  }
  if (files.has(kCsProfileFile)) {
    auto confidences = parse_cs_profile(files.get(kCsProfileFile), files.path(kCsProfileFile), model.blocks);
    if (!confidences) return confidences.error();
    info.confidences = std::move(*confidences);
  }
  if (files.has(kPredictorFile)) {
    const PredictorOwner owner{model.checksums.find(kWeightsFile)->second, model.classes, model.blocks};
    auto predictor = parse_predictor(files.get(kPredictorFile), files.path(kPredictorFile), owner);
    if (!predictor) return predictor.error();
    info.predictor = std::move(*predictor);
  }
  return info;
}

// Reads model.toml and what it lists; `skip` is not opened.
Result<Files> read_files(const fs::path& directory, std::string_view skip, ModelFile& model) {
  Files files{directory.string(), {}};
  auto text = read_file(directory / kModelFile, PackageLimits::kModelFile);
  if (!text) return text.error();
  auto parsed = parse_model_file(*text, files.path(kModelFile));
  if (!parsed) return parsed.error();
  model = std::move(*parsed);
  files.bytes.emplace(kModelFile, std::move(*text));
  for (const auto& [name, sum] : model.checksums) {
    if (name == skip) continue;
    auto bytes = read_file(directory / name, limit_of(name));
    if (!bytes) return bytes.error();
    if (const std::string found = sha256(*bytes); found != sum) {
      return error(files.path(name) + ": is damaged: its SHA-256 is " + found + "; " +
                   std::string(kModelFile) + " says " + sum + "; copy the package again, or export it again");
    }
    files.bytes.emplace(name, std::move(*bytes));
  }
  return files;
}

Files format_files(const Package& package, std::string place) {
  const PackageInfo& info = package.info;
  Files files{std::move(place), {}};
  files.bytes.emplace(kProgramFile, write_program(info.program));
  files.bytes.emplace(kWeightsFile, format_weights(package.weights));
  if (!info.times.empty()) files.bytes.emplace(kEtProfileFile, format_et_profile(info.times));
  if (info.confidences.samples > 0) files.bytes.emplace(kCsProfileFile, format_cs_profile(info.confidences));
  if (info.predictor) {
    files.bytes.emplace(kPredictorFile, format_predictor(*info.predictor, sha256(files.get(kWeightsFile))));
  }
  ModelFile model{info.name,
                  info.version,
                  info.program.input(),
                  info.program.classes(),
                  info.program.block_count(),
                  info.normalisation,
                  info.labels,
                  {}};
  for (const auto& [name, bytes] : files.bytes) model.checksums.emplace(name, sha256(bytes));
  files.bytes.emplace(kModelFile, format_model_file(model));
  return files;
}

// What is written must be readable: the reader itself is the check.
Result<void> check_readable(const Files& files) {
  for (const auto& [name, bytes] : files.bytes) {
    if (ByteCount{bytes.size()} > limit_of(name)) {
      return error(files.path(name) + ": would have " + format_bytes(ByteCount{bytes.size()}) + "; at most " +
                   format_bytes(limit_of(name)) + " are allowed");
    }
  }
  auto model = parse_model_file(files.get(kModelFile), files.path(kModelFile));
  if (!model) return model.error();
  const auto info = parse_info(files, std::move(*model));
  if (!info) return info.error();
  const auto weights = parse_weights(files.get(kWeightsFile), files.path(kWeightsFile), info->program);
  if (!weights) return weights.error();
  return {};
}

// What is replaced is deleted: only a package may be.
Result<void> check_target(const fs::path& target) {
  if (target.extension() != ".einet") {
    return error(target.string() + ": a package's directory is named NAME.einet");
  }
  std::error_code ignored;
  if (fs::exists(target, ignored) && !fs::exists(target / kModelFile, ignored)) {
    return error(target.string() + ": is there already and is no package; remove it or choose another place");
  }
  return {};
}

Error failed(const fs::path& path, std::string_view what, int code) {
  return error(path.string() + ": " + std::string(what) + ": " + std::strerror(code));
}

Result<void> sync_directory(const fs::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return failed(path, "cannot open", errno);
  const int synced = ::fsync(fd);
  const int code = errno;
  ::close(fd);
  if (synced != 0) return failed(path, "cannot sync", code);
  return {};
}

// Puts `temporary` at `target`; what was there before is left at `temporary`.
Result<void> move_into_place(const fs::path& temporary, const fs::path& target) {
  if (::rename(temporary.c_str(), target.c_str()) == 0) return {};
  if (errno != ENOTEMPTY && errno != EEXIST) return failed(target, "cannot rename into place", errno);
  if (::renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, target.c_str(), RENAME_EXCHANGE) != 0) {
    return failed(target, "cannot exchange with the new package", errno);
  }
  return {};
}

Result<void> write_into(const fs::path& temporary, const fs::path& target, const Files& files) {
  for (const auto& [name, bytes] : files.bytes) {
    if (auto ok = write_file(temporary / name, bytes); !ok) return ok;
  }
  if (auto ok = sync_directory(temporary); !ok) return ok;
  if (auto ok = move_into_place(temporary, target); !ok) return ok;
  return sync_directory(target.parent_path());
}

}  // namespace

double CsProfile::accuracy(int exit) const {
  EINET_CHECK(samples > 0 && exit >= 0 && exit < exits, "the profile has this exit");
  std::int64_t right = 0;
  for (std::size_t i = static_cast<std::size_t>(exit); i < correct.size();
       i += static_cast<std::size_t>(exits)) {
    right += correct[i];
  }
  return static_cast<double>(right) / samples;
}

ByteCount size_of(const Weights& weights) {
  ByteCount size;
  for (const auto& [name, tensor] : weights) size = size + ByteCount{tensor.values.size() * sizeof(float)};
  return size;
}

const EtProfile* PackageInfo::times_on(std::string_view device) const {
  for (const EtProfile& profile : times) {
    if (profile.device == device) return &profile;
  }
  return nullptr;
}

Result<Package> read_package(const fs::path& directory) {
  ModelFile model;
  const auto files = read_files(directory, "", model);
  if (!files) return files.error();
  auto info = parse_info(*files, std::move(model));
  if (!info) return info.error();
  auto weights = parse_weights(files->get(kWeightsFile), files->path(kWeightsFile), info->program);
  if (!weights) return weights.error();
  return Package{std::move(*info), std::move(*weights)};
}

Result<PackageInfo> read_package_info(const fs::path& directory) {
  ModelFile model;
  const auto files = read_files(directory, kWeightsFile, model);
  if (!files) return files.error();
  return parse_info(*files, std::move(model));
}

Result<void> write_package(const fs::path& directory, const Package& package) {
  // Without a trailing slash, and with a parent even for a bare name.
  fs::path target = fs::absolute(directory).lexically_normal();
  if (!target.has_filename()) target = target.parent_path();
  if (auto ok = check_target(target); !ok) return ok;
  const Files files = format_files(package, target.string());
  if (auto ok = check_readable(files); !ok) return ok;

  std::string temporary = target.string() + ".tmp.XXXXXX";
  if (::mkdtemp(temporary.data()) == nullptr) return failed(temporary, "cannot create", errno);
  const auto written = ::chmod(temporary.c_str(), 0755) == 0
                           ? write_into(temporary, target, files)
                           : Result<void>(failed(temporary, "cannot chmod", errno));
  // On success what is left there is the package that was replaced.
  std::error_code ignored;
  fs::remove_all(temporary, ignored);
  return written;
}

}  // namespace einet
