// Delays calls at random, where it is loaded before the C library (tools/jitter): what may happen on a
// machine where others want the processor, at the places where threads and processes meet. Before and after
// each of the calls below, one time in EINET_JITTER_ONE_IN, its thread sleeps for up to EINET_JITTER_US;
// without both it does nothing.
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <dlfcn.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

namespace {

std::uint64_t setting(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? 0 : std::strtoull(value, nullptr, 10);
}

// Others for every thread and process.
std::uint64_t random_number() {
  static std::atomic<std::uint64_t> threads = 0;
  thread_local std::uint64_t state = 0;
  if (state == 0) {
    state = static_cast<std::uint64_t>(::getpid()) << 32 ^ (++threads * 0x9E37'79B9'7F4A'7C15);
  }
  state ^= state << 13;  // Marsaglia's xorshift
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

void perhaps_sleep() {
  static const std::uint64_t one_in = setting("EINET_JITTER_ONE_IN");
  static const std::uint64_t most_us = setting("EINET_JITTER_US");
  if (one_in == 0 || most_us == 0) return;
  const std::uint64_t random = random_number();
  if ((random >> 20) % one_in != 0) return;
  const timespec delay{.tv_sec = 0, .tv_nsec = static_cast<long>((random >> 32) % (most_us * 1000))};
  ::syscall(SYS_nanosleep, &delay, nullptr);
}

template <class Call, class... Arguments>
auto delayed(Call* call, Arguments... arguments) {
  perhaps_sleep();
  const auto result = call(arguments...);
  perhaps_sleep();
  return result;
}

}  // namespace

// The C library's own, and what was asked for.
#define EINET_REAL(name) reinterpret_cast<decltype(&::name)>(::dlsym(RTLD_NEXT, #name))

extern "C" {

ssize_t read(int fd, void* data, std::size_t bytes) {
  static const auto real = EINET_REAL(read);
  return delayed(real, fd, data, bytes);
}
ssize_t write(int fd, const void* data, std::size_t bytes) {
  static const auto real = EINET_REAL(write);
  return delayed(real, fd, data, bytes);
}
ssize_t preadv2(int fd, const iovec* parts, int count, off_t offset, int flags) {
  static const auto real = EINET_REAL(preadv2);
  return delayed(real, fd, parts, count, offset, flags);
}
ssize_t send(int fd, const void* data, std::size_t bytes, int flags) {
  static const auto real = EINET_REAL(send);
  return delayed(real, fd, data, bytes, flags);
}
ssize_t recv(int fd, void* data, std::size_t bytes, int flags) {
  static const auto real = EINET_REAL(recv);
  return delayed(real, fd, data, bytes, flags);
}
ssize_t sendmsg(int fd, const msghdr* message, int flags) {
  static const auto real = EINET_REAL(sendmsg);
  return delayed(real, fd, message, flags);
}
ssize_t recvmsg(int fd, msghdr* message, int flags) {
  static const auto real = EINET_REAL(recvmsg);
  return delayed(real, fd, message, flags);
}
int epoll_wait(int epoll, epoll_event* events, int most, int timeout) {
  static const auto real = EINET_REAL(epoll_wait);
  return delayed(real, epoll, events, most, timeout);
}
int ftruncate(int fd, off_t bytes) noexcept {
  static const auto real = EINET_REAL(ftruncate);
  return delayed(real, fd, bytes);
}
int close(int fd) {
  static const auto real = EINET_REAL(close);
  return delayed(real, fd);
}
int pthread_mutex_lock(pthread_mutex_t* mutex) noexcept {
  static const auto real = EINET_REAL(pthread_mutex_lock);
  return delayed(real, mutex);
}
int pthread_mutex_unlock(pthread_mutex_t* mutex) noexcept {
  static const auto real = EINET_REAL(pthread_mutex_unlock);
  return delayed(real, mutex);
}
}
