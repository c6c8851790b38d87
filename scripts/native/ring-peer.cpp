// A VMBus ring in C++, tuned: what the rings of package ring are measured against.
//
// The same layout and the whole protocol: descriptor, padding, trailer; sequentially consistent publication, mask and read index looked at
// after it; every index and descriptor validated; packets copied out before they are looked at; pending send size looked at whenever space
// is given back. Tuned: private copy of the peer's index, lazy publication of the read index, back-off when empty or full.
//
//   ring-peer throughput PAYLOAD BATCH MILLISECONDS RING_BYTES SENDERS
//   ring-peer roundtrip spin|futex MILLISECONDS
//
// Prints one line of JSON.
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <string>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <algorithm>
#include <thread>
#include <vector>

#include <immintrin.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {

constexpr uint32_t kPage = 4096;
constexpr uint16_t kInBand = 6;

using Clock = std::chrono::steady_clock;

struct Control {
  std::atomic<uint32_t> in;
  std::atomic<uint32_t> out;
  std::atomic<uint32_t> mask;
  std::atomic<uint32_t> pending;
  uint32_t reserved[12];
  std::atomic<uint32_t> features;
};

struct Descriptor {
  uint16_t type;
  uint16_t offset8;
  uint16_t length8;
  uint16_t flags;
  uint64_t transaction;
};

struct Ring {
  Control *control;
  uint8_t *data;
  uint32_t size;
};

Ring make_ring(uint32_t bytes) {
  void *at = mmap(nullptr, kPage + bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) {
    perror("mmap");
    exit(1);
  }
  Ring ring{static_cast<Control *>(at), static_cast<uint8_t *>(at) + kPage, bytes};
  ring.control->features.store(1);
  return ring;
}

bool valid(uint32_t index, uint32_t size) { return index < size && (index & 7) == 0; }

uint32_t distance(uint32_t from, uint32_t to, uint32_t size) { return to >= from ? to - from : size + to - from; }

class Producer {
 public:
  explicit Producer(Ring ring) : ring_(ring) {}

  // False when the ring is full.
  bool write(const uint8_t *payload, uint32_t bytes, uint64_t transaction) {
    const uint32_t length = (bytes + 16 + 7) & ~7u;
    const uint32_t total = length + 8;
    if (total > free_bytes()) {
      if (!read_out() || total > free_bytes()) return false;
    }
    const Descriptor descriptor{kInBand, 2, static_cast<uint16_t>(length >> 3), 0, transaction};
    const uint64_t trailer = static_cast<uint64_t>(next_) << 32;
    if (next_ + total <= ring_.size) {
      uint8_t *at = ring_.data + next_;
      memcpy(at, &descriptor, 16);
      memcpy(at + 16, payload, bytes);
      if (bytes & 7) memset(at + 16 + bytes, 0, 8 - (bytes & 7));
      memcpy(at + length, &trailer, 8);
      next_ += total;
      if (next_ == ring_.size) next_ = 0;
      return true;
    }
    const uint64_t zero = 0;
    put(&descriptor, 16);
    put(payload, bytes);
    if (bytes & 7) put(&zero, 8 - (bytes & 7));
    put(&trailer, 8);
    return true;
  }

  // True when the receiver must be signalled.
  bool publish() {
    if (next_ == published_) return false;
    const uint32_t old = published_;
    published_ = next_;
    ring_.control->in.store(next_, std::memory_order_seq_cst);
    if (ring_.control->mask.load(std::memory_order_seq_cst) != 0) return false;
    return read_out() && out_ == old;
  }

 private:
  uint32_t free_bytes() const { return ring_.size - 8 - distance(out_, next_, ring_.size); }

  bool read_out() {
    const uint32_t out = ring_.control->out.load(std::memory_order_seq_cst);
    if (!valid(out, ring_.size)) abort();
    if (distance(out, published_, ring_.size) > distance(out_, published_, ring_.size)) abort();
    out_ = out;
    return true;
  }

  void put(const void *from, uint32_t bytes) {
    const uint32_t first = std::min(bytes, ring_.size - next_);
    memcpy(ring_.data + next_, from, first);
    memcpy(ring_.data, static_cast<const uint8_t *>(from) + first, bytes - first);
    next_ += bytes;
    if (next_ >= ring_.size) next_ -= ring_.size;
  }

  Ring ring_;
  uint32_t next_ = 0;
  uint32_t published_ = 0;
  uint32_t out_ = 0;
};

class Consumer {
 public:
  explicit Consumer(Ring ring) : ring_(ring), arena_(1 << 20) {}

  // Copies up to `limit` packets into the arena; entry i of `at` is where packet i begins.
  uint32_t drain(uint32_t limit, uint32_t *at) {
    if (next_ == in_ && !read_in()) return 0;
    uint32_t available = distance(next_, in_, ring_.size);
    uint32_t count = 0;
    uint32_t to = 0;
    while (available != 0 && count < limit) {
      if (available < 16) abort();
      Descriptor descriptor;
      copy_out(&descriptor, next_, 16);
      const uint32_t length = descriptor.length8 * 8u;
      const uint32_t total = length + 8;
      if (descriptor.offset8 < 2 || descriptor.offset8 > descriptor.length8 || total > available ||
          (descriptor.flags & ~1u) != 0 || (descriptor.type != kInBand && descriptor.type != 0xb)) {
        abort();
      }
      if (to + length > arena_.size()) break;
      memcpy(&arena_[to], &descriptor, 16);
      copy_out(&arena_[to + 16], advanced(16), length - 16);
      at[count++] = to;
      to += length;
      next_ = advanced(total);
      available -= total;
    }
    return count;
  }

  const uint8_t *arena() const { return arena_.data(); }

  bool release_lazily() { return distance(published_, next_, ring_.size) >= ring_.size / 4 && release(); }

  // True when the sender must be signalled.
  bool release() {
    if (next_ == published_) return false;
    const uint32_t old = published_;
    published_ = next_;
    ring_.control->out.store(next_, std::memory_order_seq_cst);
    const uint32_t pending = ring_.control->pending.load(std::memory_order_seq_cst) & ~7u;
    if (pending == 0 || (ring_.control->features.load() & 1) == 0) return false;
    read_in();
    const uint32_t used = distance(next_, in_, ring_.size);
    const uint32_t most = ring_.size - 8 - pending;
    return used <= most && used + distance(old, next_, ring_.size) > most;
  }

  // Asks for signals; true when packets came meanwhile.
  bool unmask() {
    ring_.control->mask.store(0, std::memory_order_seq_cst);
    return ring_.control->in.load(std::memory_order_seq_cst) != next_;
  }

  void mask() { ring_.control->mask.store(1, std::memory_order_seq_cst); }

 private:
  uint32_t advanced(uint32_t bytes) const {
    const uint32_t at = next_ + bytes;
    return at >= ring_.size ? at - ring_.size : at;
  }

  bool read_in() {
    const uint32_t in = ring_.control->in.load(std::memory_order_seq_cst);
    if (in == in_) return next_ != in_;
    if (!valid(in, ring_.size)) abort();
    if (distance(published_, in, ring_.size) < distance(published_, in_, ring_.size)) abort();
    in_ = in;
    return true;
  }

  void copy_out(void *to, uint32_t from, uint32_t bytes) const {
    if (from + bytes <= ring_.size) {
      memcpy(to, ring_.data + from, bytes);
      return;
    }
    const uint32_t first = ring_.size - from;
    memcpy(to, ring_.data + from, first);
    memcpy(static_cast<uint8_t *>(to) + first, ring_.data, bytes - first);
  }

  Ring ring_;
  uint32_t next_ = 0;
  uint32_t published_ = 0;
  uint32_t in_ = 0;
  std::vector<uint8_t> arena_;
};

void send_until(Ring ring, uint32_t payload, uint32_t batch, const std::atomic<bool> &stop) {
  Producer producer(ring);
  std::vector<uint8_t> staging(static_cast<size_t>(payload) * batch);
  uint32_t sequence = 0;
  while (!stop.load(std::memory_order_relaxed)) {
    for (uint32_t i = 0; i < batch; i += 1) {
      const uint32_t number = sequence + i;
      memcpy(&staging[static_cast<size_t>(i) * payload], &number, 4);
    }
    uint32_t written = 0;
    while (written < batch) {
      if (producer.write(&staging[static_cast<size_t>(written) * payload], payload, 0)) {
        written += 1;
        continue;
      }
      producer.publish();
      if (stop.load(std::memory_order_relaxed)) return;
      for (int turn = 0; turn < 16; turn += 1) _mm_pause();
    }
    producer.publish();
    sequence += batch;
  }
}

struct Counts {
  uint64_t packets = 0;
  uint64_t errors = 0;
};

void take(Consumer &consumer, uint32_t limit, uint32_t *at, uint32_t &expected, Counts &counts) {
  const uint32_t count = consumer.drain(limit, at);
  for (uint32_t i = 0; i < count; i += 1) {
    uint32_t number;
    memcpy(&number, consumer.arena() + at[i] + 16, 4);
    if (number != expected) counts.errors += 1;
    expected = number + 1;
  }
  counts.packets += count;
  if (count == 0) {
    consumer.release();
    for (int turn = 0; turn < 16; turn += 1) _mm_pause();
  } else {
    consumer.release_lazily();
  }
}

void throughput(uint32_t payload, uint32_t batch, uint32_t milliseconds, uint32_t bytes, uint32_t senders) {
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  std::vector<Consumer> consumers;
  std::vector<uint32_t> expected(senders, 0);
  std::vector<uint32_t> at(1024);
  for (uint32_t i = 0; i < senders; i += 1) {
    const Ring ring = make_ring(bytes);
    consumers.emplace_back(ring);
    consumers.back().mask();
    threads.emplace_back([=, &stop] { send_until(ring, payload, batch, stop); });
  }
  const uint32_t limit = std::max(batch, 64u);
  Counts warm, counts;
  const auto warm_until = Clock::now() + std::chrono::milliseconds(20);
  while (Clock::now() < warm_until) {
    for (uint32_t i = 0; i < senders; i += 1) take(consumers[i], limit, at.data(), expected[i], warm);
  }
  const auto begin = Clock::now();
  const auto until = begin + std::chrono::milliseconds(milliseconds);
  auto now = begin;
  while (now < until) {
    for (int turn = 0; turn < 64; turn += 1) {
      for (uint32_t i = 0; i < senders; i += 1) take(consumers[i], limit, at.data(), expected[i], counts);
    }
    now = Clock::now();
  }
  stop.store(true);
  const double seconds = std::chrono::duration<double>(now - begin).count();
  for (auto &thread : threads) thread.join();
  printf("{\"packets\":%llu,\"errors\":%llu,\"seconds\":%.6f}\n", static_cast<unsigned long long>(counts.packets),
         static_cast<unsigned long long>(counts.errors + warm.errors), seconds);
}

void futex_wait(std::atomic<uint32_t> *word, uint32_t value) {
  syscall(SYS_futex, word, FUTEX_WAIT, value, nullptr, nullptr, 0);
}

void futex_wake(std::atomic<uint32_t> *word) { syscall(SYS_futex, word, FUTEX_WAKE, 1, nullptr, nullptr, 0); }

enum class Wait { spin, futex, epoll };

// What an event loop sleeps on: an eventfd, by way of epoll.
struct Loop {
  int event = eventfd(0, EFD_NONBLOCK);
  int poll = epoll_create1(0);

  Loop() {
    epoll_event interest{};
    interest.events = EPOLLIN;
    epoll_ctl(poll, EPOLL_CTL_ADD, event, &interest);
  }

  void wake() const {
    const uint64_t one = 1;
    if (write(event, &one, sizeof one) != sizeof one) abort();
  }

  void sleep() const {
    epoll_event found;
    epoll_wait(poll, &found, 1, -1);
    uint64_t count;
    if (read(event, &count, sizeof count) < 0 && errno != EAGAIN) abort();
  }
};

// One side of a round trip: a ring each way, and a bell to sleep on.
struct Side {
  Producer producer;
  Consumer consumer;
  std::atomic<uint32_t> *bell;
  std::atomic<uint32_t> *peer_bell;
  const Loop *loop;
  const Loop *peer_loop;
};

// Waits for a packet, and returns its number. False once `stop` is set.
bool receive(Side &side, Wait wait, const std::atomic<bool> &stop, uint32_t &number) {
  uint32_t at[4];
  for (;;) {
    const uint32_t sample = side.bell->load();
    if (side.consumer.drain(1, at) == 1) {
      memcpy(&number, side.consumer.arena() + at[0] + 16, 4);
      side.consumer.release_lazily();
      return true;
    }
    if (stop.load(std::memory_order_relaxed)) return false;
    side.consumer.release();
    if (wait == Wait::spin) continue;
    if (!side.consumer.unmask()) {
      if (wait == Wait::futex) futex_wait(side.bell, sample);
      else side.loop->sleep();
    }
    side.consumer.mask();
  }
}

void wake(Side &side, Wait wait) {
  if (wait == Wait::epoll) return side.peer_loop->wake();
  side.peer_bell->fetch_add(1);
  futex_wake(side.peer_bell);
}

void send(Side &side, Wait wait, uint32_t number) {
  uint8_t payload[64] = {};
  memcpy(payload, &number, 4);
  side.producer.write(payload, sizeof payload, 0);
  if (side.producer.publish()) wake(side, wait);
}

void round_trip(Wait wait, uint32_t milliseconds) {
  const Ring there = make_ring(1 << 20);
  const Ring back = make_ring(1 << 20);
  auto *bells = static_cast<std::atomic<uint32_t> *>(
      mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  std::atomic<bool> stop{false};
  const Loop near_loop, far_loop;
  Side near{Producer(there), Consumer(back), &bells[0], &bells[16], &near_loop, &far_loop};
  Side far{Producer(back), Consumer(there), &bells[16], &bells[0], &far_loop, &near_loop};
  near.consumer.mask();
  far.consumer.mask();
  std::thread echo([&] {
    uint32_t number;
    while (receive(far, wait, stop, number)) send(far, wait, number);
  });
  std::vector<uint32_t> nanoseconds;
  nanoseconds.reserve(1 << 22);
  uint64_t errors = 0;
  uint32_t number = 0;
  // A spinning trip is too short for a reading of the clock each.
  const uint32_t group = wait == Wait::spin ? 16 : 1;
  const auto until = Clock::now() + std::chrono::milliseconds(milliseconds);
  for (auto now = Clock::now(); now < until && nanoseconds.size() < (1 << 22);) {
    for (uint32_t trip = 0; trip < group; trip += 1, number += 1) {
      uint32_t answer = 0;
      send(near, wait, number);
      receive(near, wait, stop, answer);
      if (answer != number) errors += 1;
    }
    const auto end = Clock::now();
    const auto took = std::chrono::duration_cast<std::chrono::nanoseconds>(end - now).count();
    nanoseconds.push_back(static_cast<uint32_t>(took / group));
    now = end;
  }
  stop.store(true);
  wake(near, wait);
  echo.join();
  std::sort(nanoseconds.begin(), nanoseconds.end());
  const size_t count = nanoseconds.size();
  printf("{\"count\":%zu,\"errors\":%llu,\"p50\":%u,\"p99\":%u}\n", count, static_cast<unsigned long long>(errors),
         nanoseconds[count / 2], nanoseconds[count * 99 / 100]);
}

// Bare copies of `chunk` bytes through a ring's pages, whole or page by page: nothing but the bytes and the two indices, so
// that no ring over such pages is faster. The same order of scattered pages as the other peers.
void copies(bool scattered, uint32_t chunk, uint32_t milliseconds, uint32_t bytes) {
  const uint32_t data_pages = bytes / kPage, pages = 2 * (1 + data_pages);
  auto *memory = static_cast<uint8_t *>(
      mmap(nullptr, pages * kPage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  std::vector<uint8_t *> page(data_pages);
  for (uint32_t i = 0; i < data_pages; i += 1) page[i] = memory + (((i + 1) * (scattered ? 71 : 1)) % pages) * kPage;
  auto each_piece = [&](uint64_t from, uint32_t length, auto copy) {
    for (uint32_t done = 0; done < length;) {
      const uint32_t offset = (from + done) % bytes;
      const uint32_t room = scattered ? kPage - offset % kPage : bytes - offset;
      const uint32_t piece = std::min(room, length - done);
      copy(page[offset / kPage] + offset % kPage, done, piece);
      done += piece;
    }
  };
  alignas(64) std::atomic<uint64_t> in{0};
  alignas(64) std::atomic<uint64_t> out{0};
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    std::vector<uint8_t> from(chunk);
    for (uint64_t next = 0; !stop.load(std::memory_order_relaxed); in.store(next)) {
      while (next + chunk - out.load() > bytes - 8) {
        if (stop.load(std::memory_order_relaxed)) return;
      }
      from[0] += 1;
      each_piece(next, chunk, [&](uint8_t *to, uint32_t at, uint32_t length) { memcpy(to, &from[at], length); });
      next += chunk;
    }
  });
  std::vector<uint8_t> arena(1 << 16);
  uint64_t next = 0, released = 0, measured_from = 0;
  const auto warm_until = Clock::now() + std::chrono::milliseconds(20);
  auto begin = Clock::now(), now = begin;
  for (bool measuring = false; !measuring || now < begin + std::chrono::milliseconds(milliseconds);) {
    for (int turn = 0; turn < 64; turn += 1) {
      const uint32_t length = static_cast<uint32_t>(std::min<uint64_t>(in.load() - next, 1 << 14));
      each_piece(next, length, [&](uint8_t *from, uint32_t at, uint32_t piece) { memcpy(&arena[at], from, piece); });
      next += length;
      if (next - released < (length == 0 ? 1 : bytes / 4)) continue;
      released = next;
      out.store(released);
    }
    now = Clock::now();
    if (!measuring && now >= warm_until) {
      measuring = true;
      measured_from = next;
      begin = now;
    }
  }
  stop.store(true);
  writer.join();
  const double seconds = std::chrono::duration<double>(now - begin).count();
  printf("{\"bytes\":%llu,\"seconds\":%.6f}\n", static_cast<unsigned long long>(next - measured_from), seconds);
}

uint32_t number_of(const char *text) { return static_cast<uint32_t>(strtoul(text, nullptr, 10)); }

}  // namespace

int main(int argc, char **argv) {
  if (argc == 7 && strcmp(argv[1], "throughput") == 0) {
    throughput(number_of(argv[2]), number_of(argv[3]), number_of(argv[4]), number_of(argv[5]), number_of(argv[6]));
    return 0;
  }
  if (argc == 4 && strcmp(argv[1], "roundtrip") == 0) {
    const std::string wait = argv[2];
    round_trip(wait == "futex" ? Wait::futex : wait == "epoll" ? Wait::epoll : Wait::spin, number_of(argv[3]));
    return 0;
  }
  if (argc == 6 && strcmp(argv[1], "copies") == 0) {
    copies(strcmp(argv[2], "scattered") == 0, number_of(argv[3]), number_of(argv[4]), number_of(argv[5]));
    return 0;
  }
  fprintf(stderr, "usage: ring-peer throughput PAYLOAD BATCH MILLISECONDS RING_BYTES SENDERS | "
          "roundtrip spin|futex|epoll MILLISECONDS | copies contiguous|scattered CHUNK MILLISECONDS RING_BYTES\n");
  return 2;
}
