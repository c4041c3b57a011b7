# step: `make help` lists the targets. Everything that is built goes into build/.

LUA        = lua5.4
LUA_INCDIR = /usr/include/lua5.4
LUAROCKS   = luarocks --lua-version 5.4
PREFIX     = /usr/local
BUILD      = build
JOBS       = $(shell nproc 2>/dev/null || echo 1)
CC         = cc
CFLAGS     = -O3 -DNDEBUG -falign-functions=64
LDFLAGS    =
SQLITE_LIBS = -lsqlite3

WARNINGS   = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wwrite-strings -Wundef -Wvla
SANITIZE   = -fsanitize=address,undefined -fno-sanitize-recover=all

# How specs run: what stands before the interpreter, and which specs.
WRAP       =
SPECS      = spec

# How many workers `make torture` kills, and how many points of each kind of call it stops one at.
KILLS      = 1000
POINTS     = 2

CORE     = $(wildcard csrc/core/*.c)
BINDING  = $(wildcard csrc/lua/*.c)
STORE    = $(wildcard csrc/store/*.c)
FIXTURES = $(wildcard spec/support/*.c spec/bench/*.c)
RUNNERS  = $(wildcard examples/c_runner/*.c)
C_FILES  = $(CORE) $(BINDING) $(STORE) $(FIXTURES) $(RUNNERS)

C_FLAGS  = -std=c99 -D_POSIX_C_SOURCE=200809L -fPIC -fvisibility=hidden -pthread -I$(LUA_INCDIR) $(WARNINGS)
COMPILE  = $(CC) $(C_FLAGS) $(CFLAGS)
SETUP    = LUA='$(LUA)' CC='$(CC)' LUA_INCDIR='$(LUA_INCDIR)' sh spec/support/setup.sh
RUN      = LUA='$(LUA)' LUA_PATH='lua/?.lua;lua/?/init.lua;;' LUA_CPATH='$(BUILD)/?.so;;' $(WRAP) $(LUA)
REMAKE   = $(MAKE) -s -j$(JOBS)
MAKEFLAGS += --no-print-directory

OBJECTS = $(patsubst %.c,$(BUILD)/obj/%.o,$(CORE) $(BINDING))
STORES  = $(patsubst %.c,$(BUILD)/obj/%.o,$(STORE))
PARTS   = $(patsubst %.c,$(BUILD)/spec/%.so,$(notdir $(FIXTURES))) $(patsubst %.c,$(BUILD)/examples/%.so,$(notdir $(RUNNERS)))

.PHONY: build help demo test check lint asan valgrind torture bench install rock clean parts

build: $(BUILD)/step/core.so $(BUILD)/step/sqlite.so

help:
	@echo 'make build     the C modules, into $(BUILD)/step/'
	@echo 'make demo      installs what is missing, builds, runs examples/crash.lua on this folder'
	@echo 'make test      installs what is missing, builds, runs the specs'
	@echo 'make check     builds and runs the specs, SPECS=spec/x_spec.lua some of them'
	@echo 'make lint      luacheck, clang-format, gcc, clang and clang-tidy without a warning, the include rule'
	@echo 'make asan      the specs under AddressSanitizer and UndefinedBehaviorSanitizer'
	@echo 'make valgrind  the specs under valgrind'
	@echo 'make torture   workers on stores, KILLS=$(KILLS) of them killed, and what the rules say of the stores then'
	@echo 'make bench     time and memory a step, beside a C loop and a plain Lua loop'
	@echo 'make install   into PREFIX=$(PREFIX)'
	@echo 'make rock      installs the rock into build/rock, offline, and tries it'
	@echo 'make clean     removes build/'

$(BUILD)/step/core.so: $(OBJECTS)
	@mkdir -p $(@D)
	$(CC) -shared -pthread $(CFLAGS) -o $@ $(OBJECTS) $(LDFLAGS)

$(BUILD)/step/sqlite.so: $(STORES)
	@mkdir -p $(@D)
	$(CC) -shared $(CFLAGS) -o $@ $(STORES) $(LDFLAGS) $(SQLITE_LIBS)

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(COMPILE) -MMD -MP -c -o $@ $<

# Modules that only specs and benchmarks load, and the example runners, which see nothing but the public headers.
parts: $(PARTS)

$(BUILD)/spec/%.so: spec/support/%.c
	@mkdir -p $(@D)
	$(COMPILE) -MMD -MP -MF $(@:.so=.d) -shared -o $@ $< $(LDFLAGS)

$(BUILD)/spec/%.so: spec/bench/%.c
	@mkdir -p $(@D)
	$(COMPILE) -MMD -MP -MF $(@:.so=.d) -shared -o $@ $< $(LDFLAGS)

$(BUILD)/examples/%.so: examples/c_runner/%.c
	@mkdir -p $(@D)
	$(COMPILE) -MMD -MP -MF $(@:.so=.d) -Icsrc -shared -o $@ $< $(LDFLAGS)

demo:
	@$(SETUP) run
	@$(REMAKE) build
	@$(RUN) examples/crash.lua

test:
	@$(SETUP) test
	@$(REMAKE) check

check: build parts
	@$(RUN) spec/support/run.lua --ignore-lua --cpath='$(BUILD)/?.so' $(SPECS)

lint:
	@$(SETUP) lint
	luacheck --quiet --no-color .busted lua spec examples
	clang-format --dry-run --Werror $(C_FILES) $(wildcard csrc/*.h csrc/*/*.h)
	@$(REMAKE) build parts BUILD=build/lint/gcc CC=gcc CFLAGS='-O2 -Werror'
	@$(REMAKE) build parts BUILD=build/lint/clang CC=clang CFLAGS='-O2 -Werror'
	printf '%s\n' $(C_FILES) | xargs -P $(JOBS) -I{} clang-tidy --quiet {} -- $(C_FLAGS) -Icsrc 2>/dev/null
	@$(REMAKE) check SPECS=spec/layers_spec.lua

asan:
	@$(SETUP) test
	@$(REMAKE) check BUILD=build/asan CC=gcc CFLAGS='-O1 -g -fno-omit-frame-pointer $(SANITIZE)' LDFLAGS=-Wl,-z,nodelete \
	  WRAP="env LD_PRELOAD=$$(gcc -print-file-name=libasan.so) UBSAN_OPTIONS=print_stacktrace=1 \
	  STEP_DAGS=3000 STEP_RANDOM=10000 STEP_ALLOC_STRIDE=3"

valgrind:
	@$(SETUP) valgrind
	@$(REMAKE) check BUILD=build/valgrind CFLAGS='-O1 -g' \
	  WRAP='env STEP_DAGS=200 STEP_RANDOM=1000 STEP_ALLOC_STRIDE=50 \
	  valgrind -q --child-silent-after-fork=yes --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite,possible'

torture:
	@$(SETUP) torture
	@$(REMAKE) build parts
	@$(RUN) spec/torture/torture.lua KILLS=$(KILLS)
	@for mutant in fencing idempotence marks; do $(RUN) spec/torture/torture.lua MUTANT=$$mutant || exit; done
	@$(RUN) spec/torture/points.lua POINTS=$(POINTS)

bench:
	@$(SETUP) run
	@$(REMAKE) build parts
	@$(RUN) spec/bench/run.lua $(BENCH)

install: build
	@sh spec/support/install.sh '$(DESTDIR)$(PREFIX)' '$(BUILD)'

rock:
	@$(SETUP) rock
	@LUA='$(LUA)' LUA_INCDIR='$(LUA_INCDIR)' LUAROCKS='$(LUAROCKS)' sh spec/support/rock.sh

clean:
	rm -rf build

-include $(OBJECTS:.o=.d) $(STORES:.o=.d) $(PARTS:.so=.d)
