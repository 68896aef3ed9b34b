// Which protobuf body belongs to which frame type, and the way from one to the other. No sockets.
#pragma once

#include <string>

#include "config/check.h"
#include "config/result.h"
#include "ipc/client/frame.h"
#include "ipc/client/protocol.pb.h"

namespace einet {

// Optional parts of the protocol that HELLO agrees on: regions (register_region), watch (watch and its
// events), tasks (add_task, remove_task, list_tasks, and Submit.task).
inline constexpr std::string_view kRegions = "regions";
inline constexpr std::string_view kWatch = "watch";
inline constexpr std::string_view kTasks = "tasks";

template <class Body>
inline constexpr MessageType kTypeOf = MessageType{0};
template <>
inline constexpr MessageType kTypeOf<wire::Hello> = MessageType::hello;
template <>
inline constexpr MessageType kTypeOf<wire::RegisterRegion> = MessageType::register_region;
template <>
inline constexpr MessageType kTypeOf<wire::UnregisterRegion> = MessageType::unregister_region;
template <>
inline constexpr MessageType kTypeOf<wire::Submit> = MessageType::submit;
template <>
inline constexpr MessageType kTypeOf<wire::Cancel> = MessageType::cancel;
template <>
inline constexpr MessageType kTypeOf<wire::Watch> = MessageType::watch;
template <>
inline constexpr MessageType kTypeOf<wire::ListJobs> = MessageType::list_jobs;
template <>
inline constexpr MessageType kTypeOf<wire::ListModels> = MessageType::list_models;
template <>
inline constexpr MessageType kTypeOf<wire::GetStatus> = MessageType::get_status;
template <>
inline constexpr MessageType kTypeOf<wire::HelloReply> = MessageType::hello_reply;
template <>
inline constexpr MessageType kTypeOf<wire::Error> = MessageType::error;
template <>
inline constexpr MessageType kTypeOf<wire::Done> = MessageType::done;
template <>
inline constexpr MessageType kTypeOf<wire::RegionRegistered> = MessageType::region_registered;
template <>
inline constexpr MessageType kTypeOf<wire::Accepted> = MessageType::accepted;
template <>
inline constexpr MessageType kTypeOf<wire::Rejected> = MessageType::rejected;
template <>
inline constexpr MessageType kTypeOf<wire::ExitResult> = MessageType::exit_result;
template <>
inline constexpr MessageType kTypeOf<wire::Outcome> = MessageType::outcome;
template <>
inline constexpr MessageType kTypeOf<wire::Event> = MessageType::event;
template <>
inline constexpr MessageType kTypeOf<wire::JobList> = MessageType::job_list;
template <>
inline constexpr MessageType kTypeOf<wire::ModelList> = MessageType::model_list;
template <>
inline constexpr MessageType kTypeOf<wire::Status> = MessageType::status;
template <>
inline constexpr MessageType kTypeOf<wire::AddTask> = MessageType::add_task;
template <>
inline constexpr MessageType kTypeOf<wire::RemoveTask> = MessageType::remove_task;
template <>
inline constexpr MessageType kTypeOf<wire::ListTasks> = MessageType::list_tasks;
template <>
inline constexpr MessageType kTypeOf<wire::TaskAdded> = MessageType::task_added;
template <>
inline constexpr MessageType kTypeOf<wire::TaskRefused> = MessageType::task_refused;
template <>
inline constexpr MessageType kTypeOf<wire::TaskList> = MessageType::task_list;

// The frame's body. Error: the frame is of another type, or its body is not such a message.
template <class Body>
Result<Body> parse_body(const FrameHeader& header, std::string_view bytes) {
  static_assert(kTypeOf<Body> != MessageType{0}, "this is not a message of the protocol");
  if (header.type != kTypeOf<Body>) {
    return error("got message " + std::string(name(header.type)) + "; expected " +
                 std::string(name(kTypeOf<Body>)));
  }
  Body body;
  if (!body.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return error("the " + std::to_string(bytes.size()) + " bytes of a " + std::string(name(header.type)) +
                 " body are not such a message (protocol.proto)");
  }
  return body;
}

// Appends the message as a frame. Error: its body is longer than `max_body`.
template <class Body>
Result<void> encode_message(std::uint64_t request, const Body& body, std::uint16_t fds, ByteCount max_body,
                            std::string& out) {
  static_assert(kTypeOf<Body> != MessageType{0}, "this is not a message of the protocol");
  const std::size_t bytes = body.ByteSizeLong();
  if (bytes > max_body.value) {
    return error("a " + std::string(name(kTypeOf<Body>)) + " message takes " +
                 format_bytes(ByteCount{bytes}) + "; at most " + format_bytes(max_body) + " are allowed");
  }
  encode_header({kTypeOf<Body>, static_cast<std::uint32_t>(bytes), fds, request}, out);
  EINET_CHECK(body.AppendToString(&out), "proto3 has no required fields");
  return {};
}

}  // namespace einet
