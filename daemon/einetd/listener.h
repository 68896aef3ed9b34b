// The socket on which clients knock: the file, its mode, and who is allowed to replace it. What happens to a
// connection is not decided here.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <sys/types.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "config/result.h"
#include "config/unique_fd.h"

namespace einet {

// One thread: the io_context's.
class Listener {
 public:
  // A connected client and the user that it runs as, by the kernel's word (SO_PEERCRED).
  using OnClient = std::function<void(UniqueFd socket, uid_t user)>;

  // Creates the socket file with this mode and listens: who connects waits until accept(). A socket file that
  // nobody listens on any more is replaced. Error: another daemon listens on it, the path is something else,
  // or the system's words.
  static Result<std::unique_ptr<Listener>> open(boost::asio::io_context&, const std::filesystem::path&,
                                                unsigned mode);
  // Removes the file, unless somebody else has replaced it.
  ~Listener();

  // Hands over who waits and who comes from now on.
  void accept(OnClient);

 private:
  Listener(boost::asio::io_context&, UniqueFd socket, std::filesystem::path);
  void wait();
  void accept_all();

  UniqueFd socket_;
  std::filesystem::path path_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
  OnClient on_client_;
  boost::asio::posix::stream_descriptor readable_;
  boost::asio::steady_timer pause_;
};

}  // namespace einet
