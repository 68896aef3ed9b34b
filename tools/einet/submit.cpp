#include "tools/einet/submit.h"

#include <algorithm>
#include <ostream>

#include <nlohmann/json.hpp>

#include "config/text.h"
#include "tools/einet/exit_code.h"
#include "tools/einet/json.h"
#include "tools/einet/table.h"

namespace einet::cli {
namespace {

using client::Answer;
using client::Client;
using client::Ended;

int exit_code(const Ended& ended) {
  switch (ended.outcome) {
    case wire::COMPLETED:
    case wire::DEADLINE:
      return kOk;
    case wire::MISSED:
      return kMissed;
    case wire::CANCELLED:
      return kCancelled;
    case wire::REJECTED:
      return kRejected;
    default:
      return ended.reason == "connection_lost" ? kUnreachable : kFailed;
  }
}

// From the release on; nothing for a job that the daemon never accepted, or that ended before.
std::optional<Duration> response(const Ended& ended) {
  if (ended.released.time_since_epoch().count() == 0 || ended.finished < ended.released) return std::nullopt;
  return ended.finished - ended.released;
}

Json to_json(const Answer& answer) {
  Json scores = Json::array();
  for (float score : answer.scores) scores.push_back(number(score));
  return {{"exit", answer.exit},
          {"class", answer.top_class},
          {"confidence", number(answer.confidence)},
          {"scores", std::move(scores)}};
}

Json to_json(const std::string& input, const Ended& ended) {
  Json out{{"input", input},
           {"job", ended.job.value},
           {"outcome", client::name(ended.outcome)},
           {"reason", ended.reason},
           {"words", ended.words},
           {"answer", nullptr},
           {"preemptions", ended.preemptions}};
  if (ended.best) out["answer"] = to_json(*ended.best);
  std::vector<int> exits;
  for (int k = 0; k < kMaxBlocks; ++k) {
    if ((ended.executed_exits & exit_bit(k)) != 0) exits.push_back(k);
  }
  out["exits"] = exits;
  out["lane_time"] = format_duration(ended.lane_time);
  out["response"] = nullptr;
  if (const auto r = response(ended)) out["response"] = format_duration(*r);
  out["waited"] = nullptr;
  if (ended.first_block) out["waited"] = format_duration(*ended.first_block - ended.released);
  return out;
}

Json outcome_line(const std::string& input, const Ended& ended, const SubmitArguments& arguments) {
  Json line = to_json(input, ended);
  if (arguments.follow == SubmitArguments::Follow::every_exit) line["event"] = "outcome";
  return line;
}

class Submitter {
 public:
  Submitter(const Context& context, const SubmitArguments& arguments, Client& client)
      : context_(context), arguments_(arguments), client_(client), ended_(arguments.inputs.size()) {}

  // Error: the connection is lost or an input cannot be sent.
  Result<void> run(const std::vector<Input>& inputs) {
    // Half the quota: an ended job counts until its lane has let go of it.
    const std::size_t at_once = std::max<std::size_t>(1, client_.hello().limits().max_jobs() / 2);
    for (std::size_t i = 0; i < inputs.size() || client_.pending() > 0;) {
      if (i < inputs.size() && client_.pending() < at_once) {
        if (auto ok = post(i, inputs[i]); !ok) return ok;
        ++i;
      } else if (auto ok = client_.wait_any(std::chrono::hours(1)); !ok && client_.pending() > 0) {
        return ok;
      }
    }
    return {};
  }

  // Prints what is not printed yet. Returns the exit code.
  int report() const {
    Table table({"INPUT", "OUTCOME", "CLASS", "CONFIDENCE", "EXIT", "RESPONSE", "LANE TIME", "PREEMPTED"});
    int code = kOk;
    bool said_lost = false;
    for (std::size_t i = 0; i < ended_.size(); ++i) {
      if (!ended_[i]) continue;
      const Ended& ended = *ended_[i];
      if (code == kOk) code = exit_code(ended);
      const auto r = response(ended);
      const auto& best = ended.best;
      table.add({escape(arguments_.inputs[i]), std::string(client::name(ended.outcome)),
                 best ? std::to_string(best->top_class) : "-", best ? percent(best->confidence) : "-",
                 best ? std::to_string(best->exit) : "-", r ? format_duration_short(*r) : "-",
                 format_duration_short(ended.lane_time), std::to_string(ended.preemptions)});
      // Why it is not simply done, for people. A lost connection is said once, not for every job.
      const bool lost = exit_code(ended) == kUnreachable;
      if (exit_code(ended) != kOk && !(lost && said_lost)) {
        context_.err << "einet: " << escape(arguments_.inputs[i]) << ": " << client::name(ended.outcome)
                     << " (" << escape(ended.reason) << ")" << (ended.words.empty() ? "" : ": ")
                     << printable(ended.words) << "\n";
      }
      said_lost = said_lost || lost;
    }
    if (context_.output == Output::table) table.print(context_.out);
    return code;
  }

 private:
  Result<void> post(std::size_t i, const Input& input) {
    client::JobRequest job;
    job.model = arguments_.model;
    job.dtype = input.dtype;
    job.shape = input.shape;
    job.input = client::InlineInput{input.bytes};
    job.release = arguments_.release;
    if (arguments_.deadline) job.deadline = *arguments_.deadline;
    job.priority = arguments_.priority;
    job.mandatory_exit = arguments_.mandatory_exit;
    job.target_confidence = arguments_.target_confidence;
    job.plan = arguments_.plan.mode;
    job.exits = arguments_.plan.exits;
    job.task = arguments_.task;

    client::Handlers handlers;
    if (arguments_.follow == SubmitArguments::Follow::every_exit) {
      handlers.exit = [this, i](JobId id, const Answer& answer) { exit(i, id, answer); };
    }
    handlers.ended = [this, i](const Ended& ended) {
      ended_[i] = ended;
      if (context_.output == Output::json) {
        print_line(outcome_line(arguments_.inputs[i], ended, arguments_));
      }
    };
    const auto ticket = client_.post(job, std::move(handlers));
    if (!ticket) return ticket.error();
    return {};
  }

  void exit(std::size_t i, JobId id, const Answer& answer) const {
    if (context_.output == Output::json) {
      Json line = to_json(answer);
      line["event"] = "exit";
      line["input"] = arguments_.inputs[i];
      line["job"] = id.value;
      print_line(line);
      return;
    }
    context_.out << escape(arguments_.inputs[i]) << ": exit " << answer.exit << " says class "
                 << answer.top_class << " with confidence " << percent(answer.confidence) << std::endl;
  }

  void print_line(const Json& line) const { context_.out << text_of(line) << std::endl; }

  const Context& context_;
  const SubmitArguments& arguments_;
  Client& client_;
  std::vector<std::optional<Ended>> ended_;
};

// The model of this name; null if there is none.
const wire::ModelInfo* find_model(const wire::ModelList& list, const std::string& name) {
  const auto at = std::find_if(list.models().begin(), list.models().end(),
                               [&](const wire::ModelInfo& model) { return model.name() == name; });
  return at == list.models().end() ? nullptr : &*at;
}

std::string no_such_model(const wire::ModelList& list, const std::string& name) {
  std::vector<std::string_view> names;
  for (const wire::ModelInfo& model : list.models()) names.push_back(model.name());
  const std::string_view near = nearest(name, names);
  return "there is no model \"" + escape(name) + "\"" +
         (near.empty() ? "; see: einet models" : "; did you mean \"" + escape(near) + "\"?");
}

// Every job is rejected before it is submitted: without its model's shape there is no input to send.
int reject_all(const Context& context, const SubmitArguments& arguments, wire::Rejected::Reason reason,
               const std::string& words) {
  if (context.output == Output::json) {
    Ended ended;
    ended.outcome = wire::REJECTED;
    ended.reason = client::name(reason);
    ended.words = words;
    for (const std::string& input : arguments.inputs) {
      context.out << text_of(outcome_line(input, ended, arguments)) << "\n";
    }
  }
  return fail(context, error(words), kRejected);
}

}  // namespace

int run_submit(const Context& context, const SubmitArguments& arguments) {
  auto client = connect(context);
  if (!client) return fail(context, client.error());
  const auto models = client->models(context.timeout);
  if (!models) return fail(context, models.error(), *client);
  const wire::ModelInfo* const model = find_model(*models, arguments.model);
  if (model == nullptr) {
    return reject_all(context, arguments, wire::Rejected::UNKNOWN_MODEL,
                      no_such_model(*models, arguments.model));
  }
  if (!model->loaded()) {
    return reject_all(
        context, arguments, wire::Rejected::MODEL_REFUSED,
        "model \"" + escape(arguments.model) + "\" cannot be used: " + printable(model->reason()));
  }
  const std::vector<std::uint32_t> shape(model->shape().begin(), model->shape().end());

  std::vector<Input> inputs;
  for (const std::string& path : arguments.inputs) {
    auto input = read_input(path, shape, arguments.colours);
    if (!input) return fail(context, input.error(), kUsage);
    if (!input->note.empty()) context.err << "einet: " << escape(path) << ": " << input->note << "\n";
    inputs.push_back(std::move(*input));
  }

  Submitter submitter(context, arguments, *client);
  const auto ran = submitter.run(inputs);
  const int code = submitter.report();
  if (!ran && code == kOk) return fail(context, ran.error(), *client);
  return code;
}

}  // namespace einet::cli
