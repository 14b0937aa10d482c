// The rival: OpenDHT of Debian. `bench_opendht node PORT BOOTSTRAP_PORT` runs one node until its
// standard input closes; `bench_opendht client PORT BOOTSTRAP_PORT NUM LABEL PID...` measures put,
// get, join and the CPU of all nodes. SPDX-License-Identifier: Apache-2.0
#include <opendht.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

extern "C" {
#include "measure.h"
}

using Clock = std::chrono::steady_clock;

static double millis(Clock::time_point since) {
  return std::chrono::duration<double, std::milli>(Clock::now() - since).count();
}

static void start(dht::DhtRunner &runner, int port, int bootstrap) {
  dht::DhtRunner::Config config{};
  config.threaded = true;
  config.dht_config.node_config.max_req_per_sec = -1;
  config.dht_config.node_config.max_peer_req_per_sec = -1;
  runner.run(static_cast<in_port_t>(port), config);
  if (bootstrap != port) {
    runner.bootstrap("127.0.0.1", std::to_string(bootstrap));
  }
}

// Waits for the end of the look-up: the value that a node keeps itself comes at once and says
// nothing about the ring.
static bool get_once(dht::DhtRunner &runner, const dht::InfoHash &key) {
  std::mutex mutex;
  std::condition_variable ready;
  bool done = false;
  bool found = false;
  runner.get(
      key,
      [&](const std::vector<std::shared_ptr<dht::Value>> &values) {
        std::lock_guard<std::mutex> lock(mutex);
        found = found || !values.empty();
        return true;  // go on: other nodes may know more
      },
      [&](bool) {
        std::lock_guard<std::mutex> lock(mutex);
        done = true;
        ready.notify_all();
      });
  std::unique_lock<std::mutex> lock(mutex);
  ready.wait_for(lock, std::chrono::seconds(10), [&] { return done; });
  return found;
}

static bool put_once(dht::DhtRunner &runner, const dht::InfoHash &key, const std::string &text) {
  std::mutex mutex;
  std::condition_variable ready;
  bool done = false;
  bool ok = false;
  runner.put(key, dht::Value((const uint8_t *)text.data(), text.size()), [&](bool success) {
    std::lock_guard<std::mutex> lock(mutex);
    ok = success;
    done = true;
    ready.notify_all();
  });
  std::unique_lock<std::mutex> lock(mutex);
  ready.wait_for(lock, std::chrono::seconds(10), [&] { return done; });
  return ok;
}

static int node(int port, int bootstrap) {
  dht::DhtRunner runner;
  start(runner, port, bootstrap);
  std::printf("ready\n");
  std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
  runner.join();
  return 0;
}

static int client(int port, int bootstrap, size_t num, const char *label, std::vector<int> pids) {
  dht::DhtRunner runner;
  std::vector<double> samples;
  auto key = [](size_t i) { return dht::InfoHash::get("bench" + std::to_string(i)); };
  auto begin = Clock::now();
  start(runner, port, bootstrap);
  bool found = false;
  while (!found && millis(begin) < 20000) {
    found = get_once(runner, key(num));  // `put` has stored num + 1 keys
  }
  std::printf(
      "{\"case\":\"join\",\"rival\":\"opendht\",\"ring\":\"%s\",\"to_first_fetch_ms\":%.2f,"
      "\"found\":%s}\n",
      label, millis(begin), found ? "true" : "false");
  pids.push_back(getpid());
  double cpu = measure_cpu(pids.data(), pids.size());
  auto all = Clock::now();
  size_t ok = 0;
  for (size_t i = 0; i < num; i++) {
    auto t = Clock::now();
    ok += get_once(runner, key(i));  // a key asked before would be answered from memory
    samples.push_back(millis(t));
  }
  double seconds = millis(all) / 1000;
  cpu = (measure_cpu(pids.data(), pids.size()) - cpu) / (double)num / 1e6;
  std::sort(samples.begin(), samples.end());
  std::printf(
      "{\"case\":\"fetch\",\"rival\":\"opendht\",\"ring\":\"%s\",\"n\":%zu,\"answered\":%zu,\"p50_"
      "ms\":%.3f,"
      "\"p99_ms\":%.3f,\"per_second\":%.0f,\"cpu_ms_all_peers\":%.3f}\n",
      label, num, ok, measure_percentile(samples.data(), num, 0.5),
      measure_percentile(samples.data(), num, 0.99), (double)num / seconds, cpu);
  std::fflush(stdout);
  runner.join();
  return 0;
}

int main(int argc, char **argv) {
  if (argc >= 4 && std::strcmp(argv[1], "node") == 0) {
    return node(std::atoi(argv[2]), std::atoi(argv[3]));
  }
  if (argc >= 5 && std::strcmp(argv[1], "put") == 0) {
    dht::DhtRunner runner;
    start(runner, std::atoi(argv[2]), std::atoi(argv[3]));
    size_t num = std::strtoul(argv[4], nullptr, 10);
    bool ok = true;
    for (size_t k = 0; ok && k <= num; k++) {
      auto key = dht::InfoHash::get("bench" + std::to_string(k));
      ok = false;
      for (int i = 0; i < 50 && !ok; i++) {
        ok = put_once(runner, key, std::string(64, 'v'));
      }
    }
    runner.join();
    return ok ? 0 : 1;
  }
  if (argc >= 6 && std::strcmp(argv[1], "client") == 0) {
    std::vector<int> pids;
    for (int i = 6; i < argc; i++) {
      pids.push_back(std::atoi(argv[i]));
    }
    return client(std::atoi(argv[2]), std::atoi(argv[3]), std::strtoul(argv[4], nullptr, 10),
                  argv[5], pids);
  }
  std::fprintf(stderr,
               "usage: bench_opendht node|put|client PORT BOOTSTRAP_PORT [NUM LABEL PID...]\n");
  return 2;
}
