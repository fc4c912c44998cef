# Moontide's build. `make help` lists the targets. Everything that is built lands in $(BUILD).

# The one place that says it is a Lua file, because Lua files can be installed apart from the library, which compares.
VERSION  := $(shell sed -n 's/^return "\(.*\)"$$/\1/p' lua/moontide/base/version.lua)

BUILD    ?= build
PREFIX   ?= /usr/local
BINDIR   ?= $(PREFIX)/bin
LUADIR   ?= $(PREFIX)/share/lua/5.1
LIBDIR   ?= $(PREFIX)/lib/lua/5.1
DESTDIR  ?=

LUAJIT   ?= luajit
CFLAGS   ?= -O2 -g

# Use every core unless the caller chose a number of jobs.
ifeq (,$(filter -j%,$(MAKEFLAGS))$(filter-out 0,$(MAKELEVEL)))
MAKEFLAGS += -j$(shell nproc 2>/dev/null || echo 1)
endif
MAKEFLAGS += --no-builtin-rules --no-print-directory

# ---- What is built from what ------------------------------------------------------------------------------------

HOST_SOURCES := $(wildcard host/*.c host/*/*.c)
TEST_SOURCES := $(wildcard spec/host/test_*.c)
TEST_HELPERS := $(filter-out $(TEST_SOURCES),$(wildcard spec/host/*.c))
FUZZ_SOURCES := $(wildcard spec/fuzz/fuzz_*.c)
LUA_ROOTS    := $(wildcard lua stdlib)
LUA_SOURCES  := $(sort $(if $(LUA_ROOTS),$(shell find $(LUA_ROOTS) -path '*/moontide/*' -name '*.lua' ! -path '*/_meta/*')))

# What Lua sees of C through FFI (host/embed.lua), lower layers first.
FFI_HEADERS  := $(foreach folder,base wire thread clock store kernel format state task rdd,$(wildcard host/$(folder)/ffi.h))

PROGRAM      := $(BUILD)/bin/moontide
MODULE       := $(BUILD)/lib/moontide/core.so
EMBEDDED     := $(BUILD)/gen/embedded.c
TESTS        := $(TEST_SOURCES:spec/host/%.c=$(BUILD)/spec/%)
FUZZERS      := $(FUZZ_SOURCES:spec/fuzz/%.c=$(BUILD)/fuzz/%)

MAIN_OBJECT  := $(BUILD)/obj/host/main.o
OBJECTS      := $(filter-out $(MAIN_OBJECT),$(HOST_SOURCES:%.c=$(BUILD)/obj/%.o)) $(BUILD)/obj/gen/embedded.o
HELPER_OBJECTS := $(TEST_HELPERS:%.c=$(BUILD)/obj/%.o)
TEST_OBJECTS := $(TEST_SOURCES:%.c=$(BUILD)/obj/%.o)
FUZZ_DRIVER  := $(BUILD)/obj/spec/fuzz/driver.o
FUZZ_OBJECTS := $(FUZZ_SOURCES:%.c=$(BUILD)/obj/%.o) $(FUZZ_DRIVER)

# ---- Flags ------------------------------------------------------------------------------------------------------

LIBRARIES    := libuv msgpack libxxhash liblz4 zlib
WARNINGS     := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wno-unused-parameter

# SANITIZE is set by `make asan` and `make tsan`. -fexceptions because LuaJIT unwinds through C frames when it raises
# an error, and the sanitizers have to see those frames end.
ifdef SANITIZE
CFLAGS       := -O1 -g -fno-omit-frame-pointer -fexceptions -fsanitize=$(SANITIZE) -fno-sanitize-recover=all
SAN_LDFLAGS  := -fsanitize=$(SANITIZE)
endif

PKG_CFLAGS   := $(shell pkg-config --cflags luajit $(LIBRARIES) 2>/dev/null)
PKG_LIBS     := $(shell pkg-config --libs $(LIBRARIES) 2>/dev/null)
LUA_LIBS     := $(shell pkg-config --libs luajit 2>/dev/null)
CMOCKA_LIBS  := $(shell pkg-config --libs cmocka 2>/dev/null)

CPPFLAGS     += -Ihost -D_GNU_SOURCE= -DTIDE_VERSION='"$(VERSION)"' $(PKG_CFLAGS) $(FUZZ_CPPFLAGS)
ALL_CFLAGS    = -std=gnu11 $(WARNINGS) $(CFLAGS) -fPIC -fno-semantic-interposition
ALL_LDFLAGS   = $(SAN_LDFLAGS) $(LDFLAGS)
LIBS          = $(PKG_LIBS) -ldl -lpthread -lm

COMPILE       = $(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

# ---- Build ------------------------------------------------------------------------------------------------------

.PHONY: all run test random-loops save-races asan tsan gcstress fuzz fuzzers fuzz-generated fuzz-libfuzzer bench check check-format check-tidy check-cppcheck check-lua format \
        deps deps-build deps-test deps-check install uninstall clean help force
.DELETE_ON_ERROR:
.SECONDARY:

all: $(PROGRAM) $(MODULE)

# The program exports its symbols (-rdynamic) so that LuaJIT's ffi.C finds them.
$(PROGRAM): $(MAIN_OBJECT) $(OBJECTS) | $(BUILD)/bin
	@echo "  LINK    $@"
	@$(CC) $(ALL_LDFLAGS) -rdynamic -Wl,-E -o $@ $^ $(LUA_LIBS) $(LIBS)

# The Lua module takes lua_* from the interpreter that loads it: there must not be a second LuaJIT in the process. It stays loaded
# when the interpreter lets go of it: a thread may be in the middle of a name look-up.
$(MODULE): $(OBJECTS) | $(BUILD)/lib/moontide
	@echo "  LINK    $@"
	@$(CC) $(ALL_LDFLAGS) -shared -Wl,-Bsymbolic-functions -Wl,-z,nodelete -o $@ $^ $(LIBS)

$(BUILD)/obj/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	@echo "  CC      $<"
	@$(COMPILE)

$(BUILD)/obj/gen/embedded.o: $(EMBEDDED) $(BUILD)/flags
	@mkdir -p $(@D)
	@echo "  CC      $<"
	@$(COMPILE)

$(EMBEDDED): host/embed.lua $(LUA_SOURCES) $(FFI_HEADERS) $(BUILD)/lua-sources | $(BUILD)/gen
	@echo "  EMBED   $(words $(LUA_SOURCES)) Lua modules"
	@$(LUAJIT) host/embed.lua $@ '$(VERSION)' $(LUA_SOURCES) $(FFI_HEADERS)

$(BUILD)/spec/%: $(BUILD)/obj/spec/host/%.o $(HELPER_OBJECTS) $(OBJECTS) | $(BUILD)/spec
	@echo "  LINK    $@"
	@$(CC) $(ALL_LDFLAGS) -rdynamic -o $@ $^ $(CMOCKA_LIBS) $(LUA_LIBS) $(LIBS)

$(BUILD)/fuzz/%: $(BUILD)/obj/spec/fuzz/%.o $(FUZZ_DRIVER) $(OBJECTS) | $(BUILD)/fuzz
	@echo "  LINK    $@"
	@$(CC) $(ALL_LDFLAGS) $(FUZZ_LDFLAGS) -rdynamic -o $@ $^ $(LUA_LIBS) $(LIBS)

$(BUILD)/bin $(BUILD)/lib/moontide $(BUILD)/gen $(BUILD)/spec $(BUILD)/fuzz:
	@mkdir -p $@

# These two files change only when the flags, or the set of Lua files, change: then what depends on them is rebuilt.
$(BUILD)/flags: force
	@mkdir -p $(@D)
	@pkg-config --print-errors --exists luajit $(LIBRARIES) || \
	    { echo "moontide: a library is missing: 'make deps' installs what the build needs" >&2; exit 1; }
	@echo '$(subst ','\'',$(CC) $(CPPFLAGS) $(ALL_CFLAGS))' | cmp -s - $@ || \
	    echo '$(subst ','\'',$(CC) $(CPPFLAGS) $(ALL_CFLAGS))' > $@

$(BUILD)/lua-sources: force
	@mkdir -p $(@D)
	@echo '$(LUA_SOURCES) $(FFI_HEADERS)' | cmp -s - $@ || echo '$(LUA_SOURCES) $(FFI_HEADERS)' > $@

-include $(patsubst %.o,%.d,$(MAIN_OBJECT) $(OBJECTS) $(HELPER_OBJECTS) $(TEST_OBJECTS) $(FUZZ_OBJECTS))

# ---- Run, test, measure -----------------------------------------------------------------------------------------

run: deps-build
	@$(MAKE) all
	@echo "  RUN     examples/network_wordcount.lua --demo: ten batches of a second, ten words of each"
	@$(PROGRAM) run examples/network_wordcount.lua --demo

bench: deps-build
	@$(MAKE) all
	@$(PROGRAM) run spec/bench/bench.lua --json $(BUILD)/bench.json $(BENCH)

# `make test ONLY="spec/closure_spec.lua spec/host/test_block.c"` builds and runs these and nothing else.
ONLY         ?=
SPEC_TIMEOUT ?= $(if $(STRESS_SEED),1800,$(if $(SANITIZE),600,300))
SHARE        ?=
ONLY_TESTS   := $(patsubst spec/host/%.c,$(BUILD)/spec/%,$(filter %.c,$(ONLY)))
TEST_TARGETS := $(if $(ONLY),$(if $(filter-out %.c,$(ONLY)),all) $(ONLY_TESTS),all $(TESTS)) \
                $(if $(ONLY),$(if $(filter spec/fuzz_spec.lua,$(ONLY)),$(FUZZERS)),$(FUZZERS))

# Under a sanitizer the specs run inside the instrumented program: a stock luajit cannot load an instrumented module.
TEST_LUA     := $(if $(SANITIZE),$(abspath $(PROGRAM)) run,$(LUAJIT))

# Sanitizer reports go to files, which spec/run.lua collects: that way none is lost in the output of a child process.
SANITIZER_LOG := exitcode=99:log_path=$(abspath $(BUILD))/test/sanitizer
SANITIZER_ENV := \
    ASAN_OPTIONS='$(SANITIZER_LOG)' \
    LSAN_OPTIONS='suppressions=$(CURDIR)/spec/support/lsan.supp:print_suppressions=0' \
    UBSAN_OPTIONS='print_stacktrace=1:$(SANITIZER_LOG)' \
    TSAN_OPTIONS='second_deadlock_stack=1:suppressions=$(CURDIR)/spec/support/tsan.supp:$(SANITIZER_LOG)'

LUA_FILES    := $(CURDIR)/lua/?.lua;$(CURDIR)/lua/?/init.lua
STDLIB_FILES := $(CURDIR)/stdlib/?.lua;$(CURDIR)/stdlib/?/init.lua
TEST_ENV     := $(if $(SANITIZE),$(SANITIZER_ENV)) \
    LUA_PATH='$(LUA_FILES);$(STDLIB_FILES);;' \
    LUA_CPATH='$(abspath $(BUILD))/lib/?.so;;' \
    MOONTIDE_BIN='$(abspath $(PROGRAM))' MOONTIDE_BUILD='$(abspath $(BUILD))' MOONTIDE_SANITIZE='$(SANITIZE)' \
    MOONTIDE_GCSTRESS='$(STRESS_SEED)'

test: deps-test
	@$(MAKE) $(TEST_TARGETS)
	@$(TEST_ENV) $(LUAJIT) spec/run.lua --build $(BUILD) --lua '$(TEST_LUA)' --timeout $(SPEC_TIMEOUT) \
	    $(if $(SHARE),--share '$(SHARE)') $(if $(STRESS_SEED),--seed $(STRESS_SEED)) $(ONLY)

# Loops compiled against interpreted: LOOPS of them from SEED on (default: drawn by the clock). A million takes about half an hour.
LOOPS        ?= 100000
SEED         ?=

random-loops: deps-test
	@$(MAKE) all
	@$(TEST_ENV) $(LUAJIT) spec/random_loops/run.lua $(LOOPS) $(SEED)

# Two processes that save under one prefix, ROUNDS times in each of the ways of spec/save_spec.lua.
ROUNDS       ?= 200

save-races: deps-test
	@SAVE_ROUNDS=$(ROUNDS) $(MAKE) test SPEC_TIMEOUT=3600 ONLY=spec/save_spec.lua

# The whole suite again, with everything rebuilt under a sanitizer in a build folder of its own.
asan:
	@$(MAKE) test BUILD=$(BUILD)/asan SANITIZE=address,undefined

tsan:
	@$(MAKE) test BUILD=$(BUILD)/tsan SANITIZE=thread

# The suite in states that collect garbage at every step, with freed memory overwritten (host/base/stress.h): what is read after
# nothing refers to it any more shows itself. SEED decides where garbage is collected and what SHARE draws: SHARE=0.2 is a
# fifth of the specs, SHARE=2/5 the second of five parts.
gcstress:
	@$(MAKE) test BUILD=$(BUILD)/asan SANITIZE=address,undefined STRESS_SEED=$(or $(SEED),$(shell date +%s))

# Every target of spec/fuzz for FUZZ_SECONDS, under the address and undefined behaviour sanitizers: with libFuzzer where clang
# has it, which looks for new ways through the code and keeps the inputs it found, else on generated inputs.
FUZZ_SECONDS ?= 30
FUZZ_SEED    ?= $(shell date +%s)
CLANG        ?= $(firstword $(shell command -v clang) $(wildcard /usr/bin/clang-[0-9][0-9]) clang)
FUZZ_ENV     := ASAN_OPTIONS=abort_on_error=1:handle_abort=0 UBSAN_OPTIONS=print_stacktrace=1:abort_on_error=1

fuzz: deps-build
	@mkdir -p $(BUILD)
	@if printf 'int LLVMFuzzerTestOneInput(void) { return 0; }' | \
	    $(CLANG) -fsanitize=fuzzer,address -x c - -o $(BUILD)/has-libfuzzer 2>/dev/null; then \
	    $(MAKE) fuzz-libfuzzer; \
	else \
	    echo "  FUZZ    $(CLANG) has no libFuzzer here: generated inputs"; \
	    $(MAKE) fuzz-generated BUILD=$(BUILD)/asan SANITIZE=address,undefined; \
	fi

fuzzers: $(FUZZERS)
	@:

fuzz-generated: fuzzers
	@for fuzzer in $(FUZZERS); do \
	    echo "  FUZZ    $$fuzzer --seconds $(FUZZ_SECONDS) --seed $(FUZZ_SEED)"; \
	    $(FUZZ_ENV) $$fuzzer --seconds $(FUZZ_SECONDS) --seed $(FUZZ_SEED) || exit 1; \
	done

# The corpus begins with generated inputs, so that it need not find out what a file looks like.
fuzz-libfuzzer:
	@$(MAKE) fuzzers
	@$(MAKE) fuzzers BUILD=$(BUILD)/libfuzzer CC=$(CLANG) SANITIZE=fuzzer-no-link,address,undefined \
	    FUZZ_CPPFLAGS=-DFUZZ_WITH_LIBFUZZER FUZZ_LDFLAGS=-fsanitize=fuzzer
	@cd $(BUILD)/libfuzzer && for name in $(notdir $(FUZZERS)); do \
	    echo "  FUZZ    $$name with libFuzzer, $(FUZZ_SECONDS) seconds"; \
	    mkdir -p corpus/$$name; \
	    $(abspath $(BUILD))/fuzz/$$name --inputs 200 --corpus corpus/$$name >/dev/null || exit 1; \
	    fuzz/$$name -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -seed=$(FUZZ_SEED) -print_final_stats=1 \
	        -artifact_prefix=$(abspath $(BUILD))/libfuzzer/$$name- corpus/$$name 2>$$name.log || \
	        { tail -n 60 $$name.log >&2; exit 1; }; \
	    sed -n "s/^stat::number_of_executed_units: */$$name: /p" $$name.log | sed 's/$$/ inputs/'; \
	done

# ---- Linters ----------------------------------------------------------------------------------------------------

C_FILES      := $(sort $(wildcard host/*.[ch] host/*/*.[ch] spec/host/*.[ch] spec/fuzz/*.[ch]))
LINTED_LUA   := $(wildcard lua stdlib spec examples host/embed.lua)

# All four run, also after one found something.
check: deps-check
	@status=0; for linter in format tidy cppcheck lua; do $(MAKE) check-$$linter || status=1; done; exit $$status

check-format:
	@echo "  CHECK   clang-format"
	@clang-format --dry-run -Werror $(C_FILES)

check-tidy:
	@echo "  CHECK   clang-tidy"
	@printf '%s\n' $(filter %.c,$(C_FILES)) | xargs -P2 -n4 sh -c \
	    'clang-tidy --quiet "$$@" -- -std=gnu11 $(subst ',,$(subst ",\",$(CPPFLAGS))) 2>/dev/null' clang-tidy

check-cppcheck:
	@echo "  CHECK   cppcheck"
	@cppcheck --quiet -j2 --std=c11 --enable=warning,portability --inline-suppr --error-exitcode=1 \
	    --suppress=missingIncludeSystem -Ihost host

check-lua:
	@echo "  CHECK   luacheck"
	@luacheck --quiet $(LINTED_LUA)

format:
	@clang-format -i $(C_FILES)

# ---- Packages ---------------------------------------------------------------------------------------------------

# The names in Debian and Ubuntu (see .ci/packages).
BUILD_PACKAGES := gcc libc6-dev make pkg-config luajit libluajit-5.1-dev libuv1-dev libmsgpack-dev|libmsgpack-c-dev \
                  libxxhash-dev liblz4-dev zlib1g-dev
TEST_PACKAGES  := libcmocka-dev lua-busted lua-cjson lua-dkjson libsqlite3-0
LINT_PACKAGES  := clang-format clang-tidy cppcheck lua-check luarocks

deps:
	@$(call install_packages,$(BUILD_PACKAGES) $(TEST_PACKAGES) $(LINT_PACKAGES))

# The targets that need packages look for what they use, which is quick, and ask for packages only if it is not there.
deps-build:
	@$(call have_commands,$(CC) pkg-config $(LUAJIT)) && pkg-config --exists luajit $(LIBRARIES) || \
	    { $(call install_packages,$(BUILD_PACKAGES)); }

deps-test: deps-build
	@pkg-config --exists cmocka && \
	    $(LUAJIT) -e 'require "busted.core" require "cjson" require "dkjson" require("ffi").load("libsqlite3.so.0")' 2>/dev/null || \
	    { $(call install_packages,$(TEST_PACKAGES)); }

deps-check: deps-test
	@$(call have_commands,clang-format clang-tidy cppcheck luacheck) || { $(call install_packages,$(LINT_PACKAGES)); }

have_commands    = ( for command in $(1); do command -v $$command >/dev/null || exit 1; done )
install_packages = .ci/packages '$(1)'

# ---- Install ----------------------------------------------------------------------------------------------------

install: all
	@install -d '$(DESTDIR)$(BINDIR)' '$(DESTDIR)$(LIBDIR)/moontide' '$(DESTDIR)$(LUADIR)'
	@install -m 755 $(PROGRAM) '$(DESTDIR)$(BINDIR)/moontide'
	@install -m 755 $(MODULE) '$(DESTDIR)$(LIBDIR)/moontide/core.so'
	@for file in $(LUA_SOURCES); do \
	    install -D -m 644 "$$file" '$(DESTDIR)$(LUADIR)'"/$${file#*/}" || exit 1; \
	done
	@echo "  INSTALL $(DESTDIR)$(BINDIR)/moontide, $(DESTDIR)$(LUADIR)/moontide, $(DESTDIR)$(LIBDIR)/moontide/core.so"

# Removes what install put there; other rocks have modules in the same folders.
uninstall:
	@rm -f '$(DESTDIR)$(BINDIR)/moontide' '$(DESTDIR)$(LIBDIR)/moontide/core.so'
	@for file in $(LUA_SOURCES); do rm -f '$(DESTDIR)$(LUADIR)'"/$${file#*/}"; done
	@for folder in '$(DESTDIR)$(LUADIR)/moontide' '$(DESTDIR)$(LIBDIR)/moontide'; do \
	    if [ -d "$$folder" ]; then find "$$folder" -depth -type d -empty -delete; fi; \
	done

clean:
	@rm -rf '$(BUILD)'

help:
	@echo "make            build $(PROGRAM) and $(MODULE)"
	@echo "make run        install what is missing, build, run the quick example for ten batches"
	@echo "make test       build, run all tests; ONLY='spec/closure_spec.lua …' runs some"
	@echo "make asan       the tests under the address and undefined behaviour sanitizers; make tsan: under the thread's"
	@echo "make save-races  two processes save under one prefix, ROUNDS=$(ROUNDS) times"
	@echo "make random-loops  loops compiled against interpreted: LOOPS=$(LOOPS) from SEED on"
	@echo "make gcstress   the tests with garbage collected at every step; SHARE=0.2 draws a fifth of them, SEED=n repeats a run"
	@echo "make fuzz       random inputs against what reads bytes: each target of spec/fuzz for FUZZ_SECONDS=$(FUZZ_SECONDS)"
	@echo "make check      linters; make format: rewrite the C files as clang-format wants them"
	@echo "make bench      measure; results also in $(BUILD)/bench.json"
	@echo "make deps       install every package that building, testing and checking needs (Debian, Ubuntu)"
	@echo "make install    into PREFIX ($(PREFIX)) under DESTDIR; make uninstall takes it away again"
	@echo "make clean      remove $(BUILD)"
	@echo "VERSION $(VERSION); BUILD, PREFIX, DESTDIR, CC, CFLAGS, LDFLAGS and LUAJIT can be set"
