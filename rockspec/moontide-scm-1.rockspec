rockspec_format = "3.0"
package = "moontide"
version = "scm-1"

-- To be used inside of a clone, `luarocks --lua-version=5.1 make rockspec/moontide-scm-1.rockspec`: that builds the
-- folder as it is.
source = {
    url = "git+file://.",
}

description = {
    summary = "Stream processing in small batches, scripted in Lua",
    detailed = [[
        Moontide cuts live data into small batches, makes each batch an immutable distributed dataset, and runs the same
        functional operators on every batch: map, filter, reduceByKey, windows, keyed state. The operators take ordinary
        Lua closures, which run compiled by LuaJIT on all cores. Needs LuaJIT 2.1 and the C libraries libuv, msgpack-c,
        xxHash, LZ4 and zlib with their headers (`make deps` installs them on Debian and Ubuntu).
    ]],
    license = "MIT",
    labels = { "streaming", "concurrency", "data" },
}

supported_platforms = { "linux" }

-- LuaJIT is what LuaRocks knows as Lua 5.1; under another 5.1 the module refuses to load.
dependencies = {
    "lua == 5.1",
}

build = {
    type = "make",
    makefile = "Makefile",
    build_target = "all",
    install_target = "install",
    variables = {
        CFLAGS = "$(CFLAGS)",
        BINDIR = "$(BINDIR)",
        LUADIR = "$(LUADIR)",
        LIBDIR = "$(LIBDIR)",
    },
}

-- The program is no Lua script that needs a wrapper.
deploy = {
    wrap_bin_scripts = false,
}

test = {
    type = "command",
    command = "make test",
}
