# The front door only: every target calls a script, CMake builds. `make help` lists the targets.
# Needs Debian 12 with git and make; missing packages are installed (as root, or through sudo).
PREFIX ?= /usr/local
DESTDIR ?=
ARGS ?=
PRESET ?= release
SECONDS ?= 600

.DEFAULT_GOAL := help
.PHONY: help deps build demo check check-asan-full soak bench lab natlab fuzz trace format tidy install clean

help:      ## this list
	@sed -n 's/^\([a-z-]*\): *## */\1\t/p' Makefile | expand -t 18

deps:      ## install the Debian packages that are missing
	@scripts/install-deps.sh

build:     ## build everything (PRESET=release, debug, asan, clang, fuzz or bench)
	@scripts/build.sh $(PRESET)

demo:      ## watch a whole overlay on this machine (ARGS='--peers 3', ARGS=--help)
	@scripts/build.sh release torc torcd torc-authority
	@build/release/torc demo $(ARGS)

check:     ## release build, every test, both compilers; ends with "N passed, N failed"
	@scripts/check.sh

check-asan-full:  ## the whole suite under AddressSanitizer and UBSan
	@scripts/check.sh --sanitize --full

soak:      ## the hour-long criteria
	@scripts/soak.sh

bench:     ## the figures, with the rivals beside them in the same run
	@scripts/bench.sh $(ARGS)

lab:       ## a small internet with NAT boxes, and a shell in it (ARGS='SCENARIO [HOST [COMMAND]]')
	@scripts/lab.sh $(ARGS)

natlab:    ## what connects through which NAT boxes, and how fast (ARGS='--end COMMAND', ARGS=--help)
	@scripts/natlab.sh $(ARGS)

fuzz:      ## fuzz all targets for SECONDS in all (default 600)
	@scripts/build.sh fuzz
	@scripts/fuzz.sh build/fuzz $(SECONDS)

trace:     ## requirement rows without code or without a test that passed in the last check
	@scripts/install-deps.sh
	@scripts/trace.py $(ARGS)

format:    ## lay out the C code with clang-format
	@scripts/install-deps.sh
	@scripts/format.sh

tidy:      ## clang-tidy over everything
	@scripts/build.sh clang
	@scripts/tidy.sh build/clang

install:   ## install library, headers, programs, manual pages, units (PREFIX, DESTDIR)
	@scripts/build.sh release
	@DESTDIR="$(DESTDIR)" cmake --install build/release --prefix "$(PREFIX)"

clean:     ## remove the build directories
	@rm -rf build
